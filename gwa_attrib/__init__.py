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
from gwa_attrib.audit import audit
from gwa_attrib.export import export
from gwa_attrib.report import report

if TYPE_CHECKING:
    from gwa_attrib import plot
    from gwa_attrib.analyses import groups, rank
    from gwa_attrib.attributors import attribute, self_influence
    from gwa_attrib.cleaning import Cleaned, Decisions, Verification, apply, decide, harmful, read_decisions, verify
    from gwa_attrib.comparison import Comparison, compare_runs
    from gwa_attrib.diagnosis import Diagnosis, doctor
    from gwa_attrib.export import Exported
    from gwa_attrib.method_comparison import MethodComparison, compare
    from gwa_attrib.neighbours import Duplicates, leaks, near_duplicates
    from gwa_attrib.proxies import Choice, EarlyStopping, choose_epoch, measure
    from gwa_attrib.recorder import Recorder
    from gwa_attrib.recording import record
    from gwa_attrib.scores import Scores
    from gwa_attrib.store import EpochSummary, Run, inspect, open_run

__version__ = "0.1.0"

_HOME = {
    "Choice": "gwa_attrib.proxies",
    "Cleaned": "gwa_attrib.cleaning",
    "Comparison": "gwa_attrib.comparison",
    "Decisions": "gwa_attrib.cleaning",
    "Diagnosis": "gwa_attrib.diagnosis",
    "Duplicates": "gwa_attrib.neighbours",
    "EarlyStopping": "gwa_attrib.proxies",
    "EpochSummary": "gwa_attrib.store",
    "Exported": "gwa_attrib.export",
    "MethodComparison": "gwa_attrib.method_comparison",
    "Recorder": "gwa_attrib.recorder",
    "Run": "gwa_attrib.store",
    "Scores": "gwa_attrib.scores",
    "Verification": "gwa_attrib.cleaning",
    "apply": "gwa_attrib.cleaning",
    "attribute": "gwa_attrib.attributors",
    "choose_epoch": "gwa_attrib.proxies",
    "compare": "gwa_attrib.method_comparison",
    "compare_runs": "gwa_attrib.comparison",
    "decide": "gwa_attrib.cleaning",
    "doctor": "gwa_attrib.diagnosis",
    "groups": "gwa_attrib.analyses",
    "harmful": "gwa_attrib.cleaning",
    "inspect": "gwa_attrib.store",
    "leaks": "gwa_attrib.neighbours",
    "measure": "gwa_attrib.proxies",
    "near_duplicates": "gwa_attrib.neighbours",
    "open_run": "gwa_attrib.store",
    "rank": "gwa_attrib.analyses",
    "read_decisions": "gwa_attrib.cleaning",
    "record": "gwa_attrib.recording",
    "self_influence": "gwa_attrib.attributors",
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
