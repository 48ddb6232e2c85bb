"""What a user passes to the recorder, checked: each function raises InputError, or gives back what it was given."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from gwa_attrib.errors import InputError
from gwa_attrib.store.schema import SIGNALS


def checked_ids(logits: Tensor, targets: Tensor, ids: Tensor | None) -> Tensor:
    """The ids, if there is one for each target and each row of logits."""
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
    return ids.to(torch.int64, copy=True)


def checked_signals(signals: Sequence[str] | None) -> tuple[str, ...]:
    """The signals to store, in the order of the schema; the alignment always, and all of them for None."""
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


def check_lengths(num_samples: int, facts: Mapping[str, Sequence[Any]]) -> None:
    """One entry per sample in each of `facts`, and at least one sample."""
    if num_samples < 1:
        raise InputError(
            expected="at least one sample", found=f"num_samples={num_samples}", todo="Pass num_samples=len(train_set)."
        )
    for name, given in facts.items():
        if len(given) != num_samples:
            raise InputError(
                expected=f"{num_samples} entries in {name!r}, one per sample",
                found=f"{len(given)}",
                todo="Pass num_samples=len(train_set), and one entry per sample.",
            )


def check_loss(label_smoothing: float, class_weight: Tensor | None, classes: int | None = None) -> None:
    """The arguments of the loss, as cross_entropy takes them; against the number of classes once it is known."""
    if not 0.0 <= label_smoothing <= 1.0:
        raise InputError(
            expected="label_smoothing in [0, 1]", found=str(label_smoothing), todo="Pass what the loss is given."
        )
    if class_weight is None:
        return
    if class_weight.dim() != 1 or (classes is not None and len(class_weight) != classes):
        raise InputError(
            expected=f"class_weight of shape [{classes if classes is not None else 'class'}]",
            found=f"shape {list(class_weight.shape)}",
            todo="Pass class_weight as to cross_entropy(weight=...), one per output of the head.",
        )
