"""The run on disk: written atomically, read back as matrices, data frames, and lazily."""

from gwa_attrib.store.inspection import inspect
from gwa_attrib.store.run import Run, open_run
from gwa_attrib.store.summaries import EpochSummary
from gwa_attrib.store.writer import RunWriter

__all__ = ["EpochSummary", "Run", "RunWriter", "inspect", "open_run"]
