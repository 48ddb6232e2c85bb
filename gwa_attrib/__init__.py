"""gwa_attrib: find mislabelled training samples, and more, from one training run.

    with gwa.record(model, "runs/a", num_samples=len(train_set)) as recorder: ...   # listens while a model trains
    run = gwa.open_run("runs/a")                                                     # trajectories of every sample
    gwa.rank(run, "mislabeled").to_frame()                                           # suspects
    gwa.audit("digits", out="runs/digits")                                           # all of it, from data to report

Names are imported when they are first used: ``import gwa_attrib`` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

# These share their name with their module. Imported now, the function is what the name means, whatever comes later.
from gwa_attrib.auditing.pipeline import audit
from gwa_attrib.exporting import export
from gwa_attrib.reporting import report

if TYPE_CHECKING:
    from gwa_attrib import plot
    from gwa_attrib.analyses import groups, rank
    from gwa_attrib.attribution import attribute, self_influence
    from gwa_attrib.cleaning import Cleaned, Decisions, Verification, apply, decide, harmful, read_decisions, verify
    from gwa_attrib.comparison.methods import MethodComparison, compare
    from gwa_attrib.comparison.runs import Comparison, compare_runs
    from gwa_attrib.exporting import Exported
    from gwa_attrib.neighbours import Duplicates, leaks, near_duplicates
    from gwa_attrib.recording.begin import record
    from gwa_attrib.recording.diagnosis import Diagnosis, doctor
    from gwa_attrib.recording.recorder import Recorder
    from gwa_attrib.scores import Scores
    from gwa_attrib.stopping import Choice, EarlyStopping, choose_epoch, measure
    from gwa_attrib.store import EpochSummary, Run, inspect, open_run

__version__ = "0.1.0"

_HOME = {
    "Choice": "gwa_attrib.stopping",
    "Cleaned": "gwa_attrib.cleaning",
    "Comparison": "gwa_attrib.comparison.runs",
    "Decisions": "gwa_attrib.cleaning",
    "Diagnosis": "gwa_attrib.recording.diagnosis",
    "Duplicates": "gwa_attrib.neighbours",
    "EarlyStopping": "gwa_attrib.stopping",
    "EpochSummary": "gwa_attrib.store",
    "Exported": "gwa_attrib.exporting",
    "MethodComparison": "gwa_attrib.comparison.methods",
    "Recorder": "gwa_attrib.recording.recorder",
    "Run": "gwa_attrib.store",
    "Scores": "gwa_attrib.scores",
    "Verification": "gwa_attrib.cleaning",
    "apply": "gwa_attrib.cleaning",
    "attribute": "gwa_attrib.attribution",
    "choose_epoch": "gwa_attrib.stopping",
    "compare": "gwa_attrib.comparison.methods",
    "compare_runs": "gwa_attrib.comparison.runs",
    "decide": "gwa_attrib.cleaning",
    "doctor": "gwa_attrib.recording.diagnosis",
    "groups": "gwa_attrib.analyses",
    "harmful": "gwa_attrib.cleaning",
    "inspect": "gwa_attrib.store",
    "leaks": "gwa_attrib.neighbours",
    "measure": "gwa_attrib.stopping",
    "near_duplicates": "gwa_attrib.neighbours",
    "open_run": "gwa_attrib.store",
    "rank": "gwa_attrib.analyses",
    "read_decisions": "gwa_attrib.cleaning",
    "record": "gwa_attrib.recording.begin",
    "self_influence": "gwa_attrib.attribution",
    "verify": "gwa_attrib.cleaning",
}

__all__ = [
    "Choice",
    "Cleaned",
    "Comparison",
    "Decisions",
    "Diagnosis",
    "Duplicates",
    "EarlyStopping",
    "EpochSummary",
    "Exported",
    "MethodComparison",
    "Recorder",
    "Run",
    "Scores",
    "Verification",
    "apply",
    "attribute",
    "audit",
    "choose_epoch",
    "compare",
    "compare_runs",
    "decide",
    "doctor",
    "export",
    "groups",
    "harmful",
    "inspect",
    "leaks",
    "measure",
    "near_duplicates",
    "open_run",
    "plot",
    "rank",
    "read_decisions",
    "record",
    "report",
    "self_influence",
    "verify",
]


_PARTS = ("plot",)
"""Modules that are used as ``gwa.plot.alignments(run)``: they, too, are imported when they are first touched."""


def __getattr__(name: str) -> Any:
    if name in _PARTS:
        return import_module(f"gwa_attrib.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'gwa_attrib' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
