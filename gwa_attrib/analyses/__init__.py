"""Analyses of a recorded run: what `rank` can rank by. They read a run and nothing else."""

from gwa_attrib.analyses import influential, mislabeled, signals
from gwa_attrib.analyses.registry import analyses, rank

__all__ = ["analyses", "influential", "mislabeled", "rank", "signals"]
