"""Analyses of a recorded run: what `rank` can rank by. They read a run and nothing else."""

from gwa_attrib.analyses import harmful, influential, mislabeled, signals
from gwa_attrib.analyses.registry import analyses, rank
from gwa_attrib.analyses.suspect_groups import groups

__all__ = ["analyses", "groups", "harmful", "influential", "mislabeled", "rank", "signals"]
