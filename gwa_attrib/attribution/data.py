"""Training samples and queries as they come (tensors, a data set, a loader), and the loss, whatever its reduction."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from gwa_attrib.errors import InputError
from gwa_attrib.functional.tolerances import REDUCTION
from gwa_attrib.hooks.forward import to_device, unknown_batch

Forward = Callable[[nn.Module, Any], tuple[Tensor, Tensor]]
"""Runs the model on a batch; gives its outputs, ``[sample, ...]``, and the targets."""
Loss = Callable[[Tensor, Tensor], Tensor]
"""The loss of outputs ``[sample, ...]`` and targets: one value per sample, or their mean or sum."""
TRIED = 4


def default_forward(model: nn.Module, batch: object) -> tuple[Tensor, Tensor]:
    """Run the model on ``(inputs, targets)``, or on the rest of a dict with "labels"; return outputs and targets.

    Raises:
        InputError: another kind of batch, or a model that returns no tensor of outputs.
    """
    if isinstance(batch, Mapping) and isinstance(batch.get("labels"), Tensor):
        outputs = model(**{name: value for name, value in batch.items() if name != "labels"})
        targets = batch["labels"]
    elif isinstance(batch, tuple | list) and len(batch) == 2 and isinstance(batch[1], Tensor):
        inputs, targets = batch
        outputs = model(**inputs) if isinstance(inputs, Mapping) else model(inputs)
    else:
        raise unknown_batch(
            batch, "Pass forward=, a function (model, batch) that returns the model's outputs and the targets."
        )
    outputs = getattr(outputs, "logits", outputs)
    if not isinstance(outputs, Tensor):
        raise InputError(
            expected="the model to return a tensor of outputs, or an object with .logits",
            found=type(outputs).__name__,
            todo="Pass forward=, a function (model, batch) that returns the outputs and the targets.",
        )
    return outputs, targets


def finite(forward: Forward) -> Forward:
    """Wrap `forward` to refuse NaN and infinite outputs, which would spread to the values of other samples."""

    def checked(model: nn.Module, batch: object) -> tuple[Tensor, Tensor]:
        outputs, targets = forward(model, batch)
        wrong = ~outputs.detach().flatten(1).isfinite().all(dim=1) if outputs.numel() else outputs.new_zeros(0)
        if wrong.any():
            raise InputError(
                expected="finite outputs of the model for every sample",
                found=f"NaN or infinity for {int(wrong.sum())} of a batch of {len(outputs)}, the first at position "
                f"{int(wrong.nonzero()[0])} in it",
                todo="Look for them in the inputs of these samples and in the model's weights.",
            )
        return outputs, targets

    return checked


class Samples:
    """A sized source of batches, always in the same order."""

    def __init__(self, source: object, batch_size: int, role: str) -> None:
        if isinstance(source, Samples):
            source = source.loader
        if isinstance(source, DataLoader):
            dataset, collate = source.dataset, source.collate_fn
        else:
            dataset, collate = _dataset(source, role), None
        self.size = len(dataset)  # type: ignore[arg-type]
        """Number of samples."""
        if not self.size:
            raise InputError(expected=f"{role} samples", found="an empty set", todo="Pass at least one sample.")
        self.loader: DataLoader[object] = DataLoader(dataset, batch_size, collate_fn=collate)

    def __len__(self) -> int:
        return self.size

    def batches(self, device: torch.device) -> Iterator[Any]:
        """Yield the batches in order, on a device."""
        for batch in self.loader:
            yield to_device(batch, device)


def _dataset(source: Any, role: str) -> Dataset[object]:
    if isinstance(source, tuple | list) and len(source) == 2 and all(isinstance(part, Tensor) for part in source):
        if len(source[0]) != len(source[1]):
            raise InputError(
                expected=f"as many {role} targets as inputs",
                found=f"{len(source[0])} inputs and {len(source[1])} targets",
                todo="Pass one target per sample.",
            )
        return TensorDataset(*source)
    if not (hasattr(source, "__getitem__") and hasattr(source, "__len__")):
        raise InputError(
            expected=f"{role} samples as a data set with a length, a loader, or a pair of tensors (inputs, targets)",
            found=type(source).__name__,
            todo="Wrap them in torch.utils.data.TensorDataset, or write a Dataset.",
        )
    return source  # type: ignore[no-any-return]


def summed(loss: Loss, outputs: Tensor, targets: Tensor) -> Loss:
    """Turn `loss` into a sum over samples; its reduction is found by trying it on a few of these targets.

    Raises:
        InputError: it is neither a mean, nor a sum, nor one value per sample.
    """
    few = torch.arange(TRIED) % len(targets)
    y = targets.detach()[few.to(targets.device)]
    generator = torch.Generator().manual_seed(0)
    # Not the model's outputs: where it has fitted its data a loss may be zero, and a mean looks like a sum.
    noise = torch.randn((TRIED, *outputs.shape[1:]), generator=generator)
    z = noise.to(outputs.device, outputs.dtype)
    together = loss(z, y)
    if together.dim():
        if together.shape[0] != TRIED:
            raise _unknown(f"a result of shape {list(together.shape)} for {TRIED} samples")
        return lambda outputs, targets: loss(outputs, targets).sum()
    alone = torch.stack([loss(z[i : i + 1], y[i : i + 1]) for i in range(TRIED)])
    scale = REDUCTION * alone.abs().sum()
    if (together - alone.sum()).abs() <= scale:
        return loss
    if (together - alone.mean()).abs() <= scale / TRIED:
        return lambda outputs, targets: loss(outputs, targets) * len(outputs)
    raise _unknown(f"{float(together):.4g} for {TRIED} samples whose losses are {alone.tolist()}")


def _unknown(found: str) -> InputError:
    return InputError(
        expected="a loss that is the mean, the sum, or one value per sample",
        found=found,
        todo="Pass a loss with reduction='none'; class weights with a weighted mean have no loss of a single sample.",
    )
