"""The cleaning loop: decisions about suspects, a cleaned copy, and what training again on it shows."""

from gwa_attrib.cleaning.cleaned import Cleaned, CleanedDataset, clean
from gwa_attrib.cleaning.cleaned_copy import apply, as_decisions
from gwa_attrib.cleaning.decisions import Decisions, decide
from gwa_attrib.cleaning.decisions_file import read_decisions
from gwa_attrib.cleaning.gain import verify
from gwa_attrib.cleaning.trusted import harmful
from gwa_attrib.evaluation.verification import Verification

__all__ = [
    "Cleaned",
    "CleanedDataset",
    "Decisions",
    "Verification",
    "apply",
    "as_decisions",
    "clean",
    "decide",
    "harmful",
    "read_decisions",
    "verify",
]
