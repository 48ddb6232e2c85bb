"""Data that a report needs besides the recording, found again: the data of an audit, its truth, what it left out."""

from collections.abc import Mapping

import numpy as np

from gwa_attrib.datasets.again import check_same_samples, read_again
from gwa_attrib.datasets.flip import BEFORE_FLIP
from gwa_attrib.datasets.labeled import sentences
from gwa_attrib.errors import MissingDependencyError, RunFormatError
from gwa_attrib.evaluation import score_against, verified_labels
from gwa_attrib.scores import Scores
from gwa_attrib.store import Run
from gwa_attrib.store.kept import kept_tokenizer
from gwa_attrib.store.run_json import AuditNotes


def data_for(run: Run, given: object, scores: Scores) -> tuple[object, list[str]]:
    """The data to show, and sentences about them: those given, or those of an audit, read again.

    Raises:
        InputError: the data given are not those of the run, or not in its order.
    """
    if given is not None:
        flags = scores.columns.get("is_label_issue", np.zeros(len(scores)))
        note = check_same_samples(run, given, np.asarray(flags, dtype=bool)) if len(flags) == len(run.labels) else ""
        return given, [note] if note else []
    if not AuditNotes.read(run.info).made_by_audit:
        return None, []  # no audit: the gallery says how to show the samples
    found, note = read_again(run)
    return found, [note] if note else []


def tokenizer_for(run: Run, data: object, given: object) -> tuple[object, list[str]]:
    """Find the tokenizer of the data, the one given or the one kept with the run; and say if the kept one cannot be
    used."""
    if given is not None or data is None:
        return given, []
    try:
        return kept_tokenizer(run), []
    except (MissingDependencyError, RunFormatError) as error:
        return None, [f"The tokenizer of the training cannot be used: {error}"]


def truth_of(run: Run, scores: Scores) -> Mapping[str, float] | None:
    """How well the scores meet the verified labels that the run holds: those an audit was told of, or those before it
    flipped some; None where there are none."""
    column = _truth_column(run)
    if column is None or len(scores) != len(run.labels):
        return None
    verified = verified_labels({column: run.samples[column]}, column, run.class_names)
    return score_against(scores, run.labels.astype(np.int64), verified)


def _truth_column(run: Run) -> str | None:
    """An audit stores a column whose name the run uses itself under another name."""
    notes = AuditNotes.read(run.info)
    named = notes.truth if notes.made_by_audit else None
    if named is not None:
        while named in ("sample_id", "key", "label"):
            named = f"extra_{named}"
        return named if named in run.samples and f"extra_{named}" not in run.samples else None
    return BEFORE_FLIP if BEFORE_FLIP in run.samples else None


def left_out(run: Run) -> list[str]:
    """Sentences about the files that an audit left out."""
    notes = AuditNotes.read(run.info)
    texts, damaged = notes.skipped, notes.damaged
    if not notes.made_by_audit or not texts:
        return []
    if damaged is None:
        return [f"{len(texts)} files were left out; the first: {texts[0]}."]
    return sentences(texts[:damaged], texts[damaged:], "run.json, under config.skipped")
