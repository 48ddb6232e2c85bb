"""The face of the package: every public name once; `__init__.py` loads each from here when it is first used."""

from . import plot as plot
from .analyses import groups as groups, rank as rank
from .attribution import attribute as attribute, self_influence as self_influence
from .auditing.pipeline import audit as audit
from .cleaning import (
    Cleaned as Cleaned,
    Decisions as Decisions,
    Verification as Verification,
    apply as apply,
    decide as decide,
    harmful as harmful,
    read_decisions as read_decisions,
    verify as verify,
)
from .comparison.methods import MethodComparison as MethodComparison, compare as compare
from .comparison.runs import Comparison as Comparison, compare_runs as compare_runs
from .exporting import Exported as Exported, export as export
from .neighbours import Duplicates as Duplicates, leaks as leaks, near_duplicates as near_duplicates
from .recording.begin import record as record
from .recording.diagnosis import Diagnosis as Diagnosis, doctor as doctor
from .recording.recorder import Recorder as Recorder
from .reporting import report as report
from .scores import Scores as Scores
from .stopping import Choice as Choice, EarlyStopping as EarlyStopping, choose_epoch as choose_epoch, measure as measure
from .store import EpochSummary as EpochSummary, Run as Run, inspect as inspect, open_run as open_run

__version__: str
