"""The samples that are asked whether cleaning helped: of a test set, or held out of every training."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Int
from torch import Tensor

from gwa_attrib.auditing.audited_model import AuditedModel
from gwa_attrib.datasets import LabeledData, class_positions, embed, encode, load
from gwa_attrib.datasets.again import read_again
from gwa_attrib.errors import InputError, NotRecordedError
from gwa_attrib.evaluation import held_out, verified_labels
from gwa_attrib.store import Run
from gwa_attrib.store.kept import kept_embeddings
from gwa_attrib.store.run_json import AuditNotes
from gwa_attrib.value_types import Array, Floats32


@dataclass(frozen=True, eq=False)
class Examination:
    """Which rows of `inputs` may be trained on, and which are asked for which answers."""

    inputs: Tensor
    """``[row, ...]``: the samples of the run, then those of a test set."""
    pool: Int[np.ndarray, " pool"]
    asked: Int[np.ndarray, " asked"]
    answers: Int[np.ndarray, " asked"]
    """int64 classes."""
    by: Literal["test", "verified", "given"]
    """A test set, verified labels of held-out samples, or the given labels of held-out samples."""
    name: str
    also_trained_on: int = 0
    """How many of those asked have an equal among the samples that are trained on."""


def examination(run: Run, model: AuditedModel, test: str | None, truth: str | None) -> Examination:
    """Choose whom to ask: a test set if there is one, else held-out samples by verified labels, else by the given ones.

    Raises:
        InputError: a test set of another kind, or of other classes; or no such column.
    """
    if test is not None:
        return examination_of_test_set(run, test)
    labels = run.labels.astype(np.int64)
    if truth is not None:
        columns = {str(name): run.samples[name].to_numpy() for name in run.samples if name not in ("sample_id", "key")}
        labels = verified_labels(columns, truth, run.class_names)
    asked = held_out(labels)
    pool = np.setdiff1d(np.arange(len(labels)), asked)
    return Examination(
        model.inputs, pool, asked, labels[asked], "given" if truth is None else "verified", truth or "given_label"
    )


def examination_of_test_set(run: Run, test: str) -> Examination:
    """Read a test set; its rows are those behind the samples of the run.

    Raises:
        InputError: a test set of another kind, or of other classes.
        NotRecordedError: the data of the run cannot be read any more.
    """
    train, note = read_again(run)
    if train is None:
        raise NotRecordedError(expected="the training samples of the run", found=note, todo="Audit the data again.")
    notes = AuditNotes.read(run.info)
    other = load(test, label_column=notes.label_column, exclude=[notes.truth] if notes.truth else [])
    answers = class_positions(np.asarray(other.class_names, dtype=object), train.class_names)[other.labels]
    fits = train.kind == other.kind and _layout(train) == _layout(other)
    if not fits or (answers < 0).any():
        raise InputError(
            expected=f"a test set like {train.name}: {_layout(train)}, classes {', '.join(train.class_names[:10])}",
            found=f"{other.name}: {_layout(other)}, classes {', '.join(other.class_names[:10])}",
            todo="Save the test set in the same form; images have to have the same size.",
        )
    known = kept_embeddings(run)
    asked_of = embed(other) if known is not None else None
    embedded = np.concatenate([known, asked_of]) if known is not None and asked_of is not None else None
    # Together, so that columns and pictures of both are scaled by the same numbers.
    joined = _joined(train.inputs, other.inputs)
    inputs = encode(replace(train, inputs=joined), embedded)
    asked = np.arange(len(train), len(train) + len(other))
    shared = _shared(joined, len(train), other.name)
    return Examination(inputs, np.arange(len(train)), asked, answers, "test", other.name, shared)


DISTINCT = 0.9
"""Share of the training samples that differ from all others, above which two equal samples are the same sample."""


def _shared(inputs: pd.DataFrame | Array, trained: int, name: str) -> int:
    """Count the test samples that have an equal among the first `trained` rows.

    Raises:
        InputError: all of them have, so that the labels in doubt would be the judges of their own correction.
    """
    rows = _hashes(inputs)
    known, others = set(rows[:trained]), rows[trained:]
    shared = sum(row in known for row in others)
    # In a table of few categories rows are equal by chance; of pictures, texts and measurements they are not.
    if shared == len(others) and len(known) > DISTINCT * trained:
        raise InputError(
            expected="a test set of samples that were not trained on",
            found=f"{name}, whose {shared:,} samples are all among those that were audited: labels that are in doubt "
            "would be the judges",
            todo="Pass other samples, whose labels are right; or leave the test set out: then a fifth of the audited "
            "samples is held out of every training and asked.",
        )
    return shared


def _hashes(inputs: pd.DataFrame | Array) -> list[int]:
    """Hash each sample as it was read: what an encoder makes of a text differs by rounding from batch to batch."""
    if isinstance(inputs, pd.DataFrame):
        return [int(value) for value in pd.util.hash_pandas_object(inputs, index=False)]
    return [hash(str(row)) if inputs.ndim == 1 else hash(row.tobytes()) for row in inputs]


def _layout(data: LabeledData) -> str:
    if isinstance(data.inputs, pd.DataFrame):
        return f"table with columns {', '.join(map(str, data.inputs.columns))}"
    return f"{data.kind} {list(data.inputs.shape[1:])}"


def _joined(one: Array | pd.DataFrame, other: Array | pd.DataFrame) -> Array | pd.DataFrame:
    if isinstance(one, pd.DataFrame) and isinstance(other, pd.DataFrame):
        return pd.concat([one, other], ignore_index=True)
    return np.concatenate([one, other])


def share_right(logits: Tensor, answers: Int[np.ndarray, " asked"]) -> Floats32:
    """1.0 or 0.0 for each sample asked."""
    right: Floats32 = (logits.argmax(dim=1) == torch.from_numpy(answers)).float().numpy()
    return right
