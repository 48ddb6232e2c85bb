"""Checks of what a user passes to the recorder: each raises InputError, or gives back what it was given."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from gwa_attrib.errors import InputError
from gwa_attrib.functional.targets import CrossEntropy
from gwa_attrib.store.schema import SIGNALS
from gwa_attrib.value_types import Array


def checked_ids(logits: Tensor, targets: Tensor, ids: Tensor | None) -> Tensor:
    """Return the ids, if there is one for each target and each row of logits."""
    if ids is None:
        raise InputError(
            expected="to know which samples are in the batch",
            found="no ids: the batch did not come from recorder.batches(loader)",
            todo="Iterate over recorder.batches(loader), or pass recorder.step(targets, sample_ids=ids).",
        )
    if ids.dim() != 1 or ids.is_floating_point() or ids.dtype == torch.bool:
        raise InputError(
            expected="sample ids as whole numbers of shape [sample]",
            found=f"{ids.dtype} of shape {list(ids.shape)}",
            todo="Pass the positions of the samples in the training set.",
        )
    rows, classes = logits.shape
    if targets.dim() not in (1, 2) or targets.is_floating_point() != (targets.dim() == 2):
        raise InputError(
            expected="class indices as whole numbers [sample], or distributions [sample, class] as floats",
            found=f"{targets.dtype} of shape {list(targets.shape)}",
            todo="Pass the targets as cross_entropy takes them.",
        )
    if not (len(ids) == len(targets) == rows) or (targets.dim() == 2 and targets.shape[1] != classes):
        raise InputError(
            expected=f"one target and one id per row of logits, of shape {[rows, classes]}",
            found=f"targets of shape {list(targets.shape)} and {len(ids)} ids",
            todo="Pass the targets of the batch that just went backward, whole.",
        )
    # A copy: the loop may write the ids of its next batch into the same tensor.
    return ids.to(torch.int64, copy=True)


def checked_signals(signals: Sequence[str] | None) -> tuple[str, ...]:
    """Return the signals to store, in the order of the schema; the alignment always, and all of them for None."""
    unknown = [name for name in signals or () if name not in SIGNALS]
    if unknown:
        raise InputError(
            expected=f"signals out of {', '.join(SIGNALS)}",
            found=", ".join(map(repr, unknown)),
            todo="Leave signals=None to store all of them.",
        )
    return SIGNALS if signals is None else tuple(name for name in SIGNALS if name in {"alignment", *signals})


def check_names(what: str, given: Iterable[str], reserved: Iterable[str]) -> None:
    """Raise InputError for a name that would replace something of ours."""
    taken = sorted(set(given) & set(reserved))
    if taken:
        raise InputError(
            expected=f"{what} names other than {', '.join(reserved)}",
            found=", ".join(taken),
            todo="Choose other names.",
        )


def checked_facts(num_samples: int, keys: Iterable[object] | None, columns: Mapping[str, object]) -> dict[str, Array]:
    """Return keys and columns as arrays with one entry per sample, of a kind that parquet can hold."""
    if num_samples < 1:
        raise InputError(
            expected="at least one sample", found=f"num_samples={num_samples}", todo="Pass num_samples=len(train_set)."
        )
    check_names("column", columns, ("sample_id", "key", "label"))
    facts = {} if keys is None else {"key": np.array([str(key) for key in keys], dtype=object)}
    facts |= {name: _as_column(name, given) for name, given in columns.items()}
    for name, column in facts.items():
        if column.shape != (num_samples,):
            raise InputError(
                expected=f"{num_samples} entries in {name!r}, one per sample",
                found=f"shape {list(column.shape)}",
                todo="Pass num_samples=len(train_set), and one entry per sample.",
            )
    return facts


def _as_column(name: str, given: object) -> Array:
    try:
        column = np.asarray(given)
        if column.dtype.kind in "US":
            column = column.astype(object)
        if column.ndim == 1:
            pa.array(column, from_pandas=True)
    except (ValueError, TypeError, pa.ArrowException) as error:
        raise InputError(
            expected=f"column {name!r} to hold numbers, texts, dates or truth values, of one kind",
            found=f"{type(error).__name__}: {error}",
            todo="Turn its values into text, or leave it out.",
        ) from error
    return column


def checked_metrics(metrics: Mapping[str, Any], reserved: Iterable[str]) -> dict[str, float]:
    """Return the metrics as floats."""
    check_names("metric", metrics, reserved)
    values = {}
    for name, value in metrics.items():
        try:
            values[name] = float(value)
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(
                expected=f"metric {name!r} to be one number",
                found=repr(value),
                todo="Pass a float, such as val_loss=0.3.",
            ) from error
    return values


def checked_probe(probe: int | bool | None, measures: Sequence[str]) -> int | None:
    """Return how many samples the probe takes; None for all of them, or for no probe."""
    if measures and not probe:
        raise InputError(
            expected="a probe to take measures with",
            found=f"measures {', '.join(map(str, measures))} and no probe",
            todo="Pass gwa.record(..., probe=2000, measures=[...]).",
        )
    if probe is not None and not isinstance(probe, bool) and probe < 1:
        raise InputError(
            expected="at least one sample in the probe", found=f"{probe}", todo="Pass probe=2000, or None for no probe."
        )
    return None if probe is None or isinstance(probe, bool) else int(probe)


def check_loss(loss: CrossEntropy, classes: int | None = None) -> None:
    """Check the settings of the loss, as cross_entropy takes them; against the number of classes once it is known."""
    if not 0.0 <= loss.label_smoothing <= 1.0:
        raise InputError(
            expected="label_smoothing in [0, 1]", found=str(loss.label_smoothing), todo="Pass what the loss is given."
        )
    class_weight = loss.class_weight
    if class_weight is None:
        return
    if class_weight.dim() != 1 or (classes is not None and len(class_weight) != classes):
        raise InputError(
            expected=f"class_weight of shape [{classes if classes is not None else 'class'}]",
            found=f"shape {list(class_weight.shape)}",
            todo="Pass class_weight as to cross_entropy(weight=...), one per output of the head.",
        )


def check_head_engine(engine: str) -> None:
    """Refuse engines that do not go with the head alone."""
    if engine not in ("auto", "closed_form"):
        raise InputError(
            expected="engine to be 'auto' or 'closed_form' with layers='head'",
            found=repr(engine),
            todo="Leave engine='auto', or name layers.",
        )


def check_beginning(overwrite: bool, resume: bool) -> None:
    """Refuse to replace a run and to go on with it."""
    if overwrite and resume:
        raise InputError(
            expected="overwrite=True or resume=True",
            found="both",
            todo="Leave overwrite out to go on with the run that is there.",
        )
