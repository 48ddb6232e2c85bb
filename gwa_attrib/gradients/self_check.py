"""The proof on the first batch: a capture of a few samples at once, against the gradient of each.

It runs the model itself on a slice of the batch that is about to be trained on, in the mode that it is in (batch norms
frozen), and leaves it as it was: flags, buffers, gradients and random states. The loss is a fixed function of the
outputs; whether the user's loss is the one assumed is checked elsewhere. It also settles where the samples are in each
layer's input, which shapes alone cannot always tell.

One forward pass is enough where the outputs are by sample. Hooks of the user's own fire in it: they may be part of what
the model computes, as those of weight norm and pruning are.
"""

import random
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves
from torch.utils.hooks import RemovableHandle

from gwa_attrib.errors import GWAError, LayerError, LayerMismatchError
from gwa_attrib.functional.tolerances import CAPTURED, HALF_TYPES, SAME_OUTPUT
from gwa_attrib.gradients.capture import LayerCapture, Listening
from gwa_attrib.gradients.layout import Layout
from gwa_attrib.gradients.rules.normalization import BATCH_NORMS
from gwa_attrib.gradients.single_samples import Deviation, Inputs, alone, batch_size, in_one_graph
from gwa_attrib.hooks.undisturbed import left_undisturbed

__all__ = ["Deviation", "Inputs", "batch_size", "check", "tolerance"]

SIZES = (3, 5, 7)
"""The numbers of samples that are taken. More than one size, and hint, is tried only where a layout was ambiguous."""
HINTS = (None, Layout.SHARED, Layout.SECOND)
Seen = list[tuple[str, list[Tensor], list[Tensor]]]
"""The calls of modules in the order of their ends: name, inputs and outputs without the first sample."""


def check(model: nn.Module, capture: LayerCapture, inputs: Inputs) -> list[Deviation]:
    """Compare the capture with single samples, and raise if a layer deviates.

    Raises:
        LayerMismatchError: naming the parameter, the size of the deviation, and the way out.
    """
    if not inputs.samples:
        return []
    first: list[Deviation] | LayerError | None = None  # what the likeliest reading of the shapes gives
    sizes = dict.fromkeys(min(size, inputs.samples) for size in SIZES)
    for size, hint in ((size, hint) for hint in HINTS for size in sizes):
        capture.known.forget(hint)
        try:
            found = _tried(model, capture, inputs, size)
        except LayerError as error:
            first = first or error
            continue
        if all(deviation.worst <= tolerance(model) for deviation in found):
            capture.known.hint = None
            return found
        first = first or found
    capture.known.forget()
    if isinstance(first, LayerError):
        raise first
    with capture.while_listening(Listening.PAUSED):
        raise _mismatch(model, inputs, first or [])


def _mismatch(model: nn.Module, inputs: Inputs, found: list[Deviation]) -> LayerMismatchError:
    worst = max(found, key=lambda deviation: deviation.worst)
    others = sum(deviation.worst > tolerance(model) for deviation in found) - 1
    mixes = mixing_module(model, inputs, min(SIZES[0], inputs.samples))
    what = f"a deviation of {worst.worst:.2g} of its size at {worst.parameter!r}"
    what += f", and {others} more parameters that deviate" if others else ""
    if mixes is not None:
        name = f"the module {mixes!r}" if mixes else "the model's own forward"
        return LayerMismatchError(
            expected="each sample's gradient to be its own",
            found=f"{what}: {name} mixes the samples of the batch",
            todo="If it does so in training mode only, freeze it (module.eval() after model.train()); else use one "
            "that looks at each sample alone, as GroupNorm does, or record only what comes after it: layers='head', "
            "or layers=[...].",
        )
    return LayerMismatchError(
        expected="the captured gradients of a few samples to equal those of each sample alone",
        found=what,
        todo="The model may mix the samples of a batch, or use the layer in a way not understood here. Leave it out "
        "(layers=[...] names what to record); `gwa-attrib doctor` lists every layer.",
    )


def _tried(model: nn.Module, capture: LayerCapture, inputs: Inputs, size: int) -> list[Deviation]:
    """Compare in the cheapest way that this model allows; raises what the last one raised."""
    errors: list[Exception] = []
    for way in _ways(model, capture, inputs, size):
        try:
            return way()
        except GWAError:
            raise
        except Exception as error:
            meaning = capture.explain(error)
            if meaning is not None:
                raise meaning from error
            errors.append(error)
    raise errors[-1]


def _ways(
    model: nn.Module, capture: LayerCapture, inputs: Inputs, size: int
) -> Iterator[Callable[[], list[Deviation]]]:
    yield lambda: in_one_graph(model, capture, inputs, size)
    yield lambda: alone(model, capture, inputs, size)  # reentrant checkpoints, other outputs, overflow
    yield lambda: in_one_graph(model, capture, inputs, size, whole=True)  # inputs that cannot be sliced


def tolerance(model: nn.Module) -> float:
    """Return the tolerance of the check, which is looser where the model computes in half precision."""
    half = any(p.dtype in HALF_TYPES for p in model.parameters())
    autocast = torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda")
    return CAPTURED.at(half or autocast)


def mixing_module(model: nn.Module, inputs: Inputs, size: int) -> str | None:
    """Find the first module in which other samples notice that the first was exchanged; None if none does.

    Two forward passes of the model as it trains, over the same random numbers.
    """
    if size < 2 or inputs.samples < size:
        return None
    rows = list(range(size))
    before, after = (_seen(model, inputs, order, size) for order in (rows, [1, *rows[1:]]))
    for (name, given, made), (_, given_again, made_again) in zip(before, after, strict=False):
        if _same(given, given_again) and not _same(made, made_again):
            return name
    return None


def _seen(model: nn.Module, inputs: Inputs, order: list[int], size: int) -> Seen:
    seen: Seen = []
    args, kwargs = inputs.pick(order)
    with left_undisturbed(model, training=None), torch.no_grad():
        # Dropout has to fall alike in both passes, or it would be taken for mixing.
        torch.manual_seed(0)
        random.seed(0)
        np.random.seed(0)
        handles: list[RemovableHandle] = []
        for name, module in model.named_modules():
            if isinstance(module, BATCH_NORMS):
                module.training = False
            handles.append(module.register_forward_hook(_note(name, seen, size), with_kwargs=True))
        try:
            model(*args, **kwargs)
        finally:
            for handle in handles:
                handle.remove()
    return seen


def _note(name: str, seen: Seen, size: int) -> Callable[..., None]:
    def others(values: object) -> list[Tensor]:
        tensors = (t for t in tree_leaves(values) if isinstance(t, Tensor) and t.dim() and t.shape[0] == size)
        return [t[1:].clone() for t in tensors]

    def went_forward(_: nn.Module, args: object, kwargs: object, output: object) -> None:
        seen.append((name, others((args, kwargs)), others(output)))

    return went_forward


def _same(some: list[Tensor], others: list[Tensor]) -> bool:
    """Tell whether tensors are equal up to the rounding of another order of sums."""
    return len(some) == len(others) and all(
        a.shape == b.shape and bool(torch.isclose(a, b, **SAME_OUTPUT, equal_nan=True).all())
        for a, b in zip(some, others, strict=True)
    )
