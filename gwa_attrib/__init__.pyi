"""The face of the package: every public name once; `__init__.py` loads each from here when it is first used."""

from . import plot as plot
from .analyses import groups as groups
from .analyses import rank as rank
from .attribution import attribute as attribute
from .attribution import self_influence as self_influence
from .auditing.pipeline import audit as audit
from .cleaning import (
    Cleaned as Cleaned,
)
from .cleaning import (
    Decisions as Decisions,
)
from .cleaning import (
    Verification as Verification,
)
from .cleaning import (
    apply as apply,
)
from .cleaning import (
    decide as decide,
)
from .cleaning import (
    harmful as harmful,
)
from .cleaning import (
    read_decisions as read_decisions,
)
from .cleaning import (
    verify as verify,
)
from .comparison.methods import MethodComparison as MethodComparison
from .comparison.methods import compare as compare
from .comparison.runs import Comparison as Comparison
from .comparison.runs import compare_runs as compare_runs
from .exporting import Exported as Exported
from .exporting import export as export
from .neighbours import Duplicates as Duplicates
from .neighbours import leaks as leaks
from .neighbours import near_duplicates as near_duplicates
from .recording.begin import record as record
from .recording.diagnosis import Diagnosis as Diagnosis
from .recording.diagnosis import doctor as doctor
from .recording.recorder import Recorder as Recorder
from .reporting import report as report
from .scores import Scores as Scores
from .stopping import Choice as Choice
from .stopping import EarlyStopping as EarlyStopping
from .stopping import choose_epoch as choose_epoch
from .stopping import measure as measure
from .store import EpochSummary as EpochSummary
from .store import Run as Run
from .store import inspect as inspect
from .store import open_run as open_run

__version__: str
