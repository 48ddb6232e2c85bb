"""Running a model on a batch as it comes from a loader, and reading its head."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from gwa_attrib.errors import HeadError, InputError
from gwa_attrib.hooks.sharding import in_forward

Forward = Callable[[nn.Module, Any], Tensor]
"""Runs the model on a batch, and gives the targets of the batch."""

Targets = Callable[[Any], Tensor]
"""Gives the targets of a batch: class indices ``[sample]`` or distributions ``[sample, class]``."""


def forward_batch(model: nn.Module, batch: object) -> Tensor:
    """Run the model on a batch ``(inputs, targets)``, or on the rest of a dict with "labels", and return the targets.

    Raises:
        InputError: another kind of batch.
    """
    labels = batch.get("labels") if isinstance(batch, Mapping) else None
    if isinstance(batch, Mapping) and isinstance(labels, Tensor):
        model(**{name: value for name, value in batch.items() if name != "labels"})
        return labels
    if isinstance(batch, tuple | list) and len(batch) == 2 and isinstance(batch[1], Tensor):
        inputs, targets = batch
        model(**inputs) if isinstance(inputs, Mapping) else model(inputs)
        return targets  # type: ignore[no-any-return]
    raise unknown_batch(
        batch, "Pass probe_forward=, a function (model, batch) that runs the model and returns the targets."
    )


def targets_of(batch: object) -> Tensor:
    """Return the targets of a batch ``(inputs, targets)``, or of a dict with "labels".

    Raises:
        InputError: another kind of batch.
    """
    labels = batch.get("labels") if isinstance(batch, Mapping) else None
    if isinstance(labels, Tensor):
        return labels
    if isinstance(batch, tuple | list) and len(batch) == 2 and isinstance(batch[1], Tensor):
        return batch[1]
    raise unknown_batch(batch, "Pass targets=, a function that gives the targets of a batch.")


def unknown_batch(batch: object, todo: str) -> InputError:
    """Return the error of a batch of another form than the usual two."""
    found = f"a dict with {', '.join(map(str, batch))}" if isinstance(batch, Mapping) else type(batch).__name__
    return InputError(expected="batches (inputs, targets), or dicts with 'labels'", found=found, todo=todo)


def to_device(batch: object, device: torch.device) -> Any:
    """Return the batch with all its tensors on `device`; tuples, lists and dicts keep their form."""
    if isinstance(batch, Tensor):
        # From pinned memory the copy runs while the device still works on what it had.
        return batch.to(device, non_blocking=True)
    if isinstance(batch, Mapping):
        return {name: to_device(value, device) for name, value in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        # A named tuple takes its fields one by one; a plain one takes an iterable.
        return type(batch)(*(to_device(value, device) for value in batch))
    if isinstance(batch, tuple | list):
        return type(batch)(to_device(value, device) for value in batch)
    return batch


Call = tuple[tuple[Any, ...], dict[str, Any]]
"""The positional and keyword arguments of one call."""


@contextmanager
def calls_of(model: nn.Module) -> Iterator[list[Call]]:
    """List the arguments of every call of `model` inside the block."""
    calls: list[Call] = []
    handle = model.register_forward_pre_hook(lambda _, args, kwargs: calls.append((args, kwargs)), with_kwargs=True)
    try:
        yield calls
    finally:
        handle.remove()


class Glimpse:
    """The head's input, output and parameters in one forward pass."""

    def __init__(self, head: nn.Linear, features: Tensor, logits: Tensor) -> None:
        self.features, self.logits = features, logits
        # Read in the pass: sharded parameters are whole in it alone.
        self.weight, self.bias = in_forward(head)


@contextmanager
def glimpses(head: nn.Linear) -> Iterator[list[Glimpse]]:
    """List every forward pass of `head` inside the block; the caller empties the list."""
    seen: list[Glimpse] = []

    def went_forward(module: nn.Linear, args: tuple[Tensor, ...], kwargs: dict[str, Tensor], output: Tensor) -> None:
        seen.append(Glimpse(module, args[0] if args else kwargs["input"], output))

    # The first of the hooks: in one of its own, which comes later, fully_shard gives the whole weight back.
    handle = head.register_forward_hook(went_forward, prepend=True, with_kwargs=True)
    try:
        yield seen
    finally:
        handle.remove()


def only(seen: list[Glimpse], name: str) -> Glimpse:
    """Take the one pass of the head that one batch made out of those seen.

    Raises:
        HeadError: the head did not run once, over one row of features per sample.
    """
    if len(seen) != 1 or seen[0].features.dim() != 2:
        shapes = ", ".join(str(list(glimpse.features.shape)) for glimpse in seen)
        raise HeadError(
            expected=f"the head {name!r} to run once per batch of the probe, over [sample, feature]",
            found=f"{len(seen)} passes over {shapes}" if seen else "no pass",
            todo="Pass probe_forward=, a function (model, batch) that runs the model as in training; a model that was "
            "compiled before recording began does not run the hooks.",
        )
    return seen.pop()
