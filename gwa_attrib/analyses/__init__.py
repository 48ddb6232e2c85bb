"""Analyses of a recorded run: what `rank` can rank by. They read a run and nothing else."""

from gwa_attrib.analyses import harmful, influential, mislabeled, signals
from gwa_attrib.analyses.groups import groups
from gwa_attrib.analyses.registry import analyses, rank

__all__ = ["analyses", "groups", "harmful", "influential", "mislabeled", "rank", "signals"]
