"""The proof on the first batch: what is captured of a few samples at once, against a loop over them one by one.

It runs the model itself on slices of the batch that is about to be trained on, in evaluation mode (dropout off, batch
norm frozen), and leaves it as it was: flags, buffers, gradients and the random state. The loss is a fixed function of
the outputs; whether the user's loss is the one assumed is checked elsewhere. It also settles where the samples are in
each layer's input, which shapes alone cannot always tell.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from gwa_attrib.capture.layers.arrange import Layout
from gwa_attrib.capture.layers.capture import LayerCapture
from gwa_attrib.capture.layers.rule import Part
from gwa_attrib.errors import GWAError, LayerError, LayerMismatchError

TOLERANCE = 1e-2
HALF_PRECISION_TOLERANCE = 1.5e-1
SIZES = (3, 5, 7)
"""How many samples are taken. More than one size, and hint, is tried only where a layout was ambiguous."""
HINTS = (None, Layout.SHARED, Layout.SECOND)


class Deviation(NamedTuple):
    """Of one parameter, the largest over the samples, relative to its gradient's norm."""

    parameter: str
    norm: float
    product: float

    @property
    def worst(self) -> float:
        return max(self.norm, self.product)


class Inputs(NamedTuple):
    """Arguments of the model's forward pass over a batch of `samples`."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    samples: int

    def pick(self, rows: slice) -> tuple[tuple[Any, ...], dict[str, Any]]:
        def part(value: Any) -> Any:
            if not isinstance(value, Tensor) or value.dim() == 0:
                return value
            if value.shape[0] == self.samples:
                return value[rows]
            return value[:, rows] if value.dim() > 1 and value.shape[1] == self.samples else value

        return tree_map(part, self.args), tree_map(part, dict(self.kwargs))


def batch_size(args: Sequence[Any], kwargs: Mapping[str, Any], announced: int = 0) -> int:
    """First dimension of the first tensor among the arguments; 0 if there is none.

    Or `announced`, if the tensor has as many along its second dimension: of time steps with features, or of tokens.
    """
    tensors = [t for t in tree_leaves([list(args), dict(kwargs)]) if isinstance(t, Tensor) and t.dim()]
    if not tensors:
        return 0
    first = tensors[0]
    may_be_second = first.dim() > 2 or (first.dim() == 2 and not first.is_floating_point())
    if may_be_second and announced and announced != first.shape[0] and announced == first.shape[1]:
        return announced
    return first.shape[0]


def deviations(
    model: nn.Module, capture: LayerCapture, inputs: Inputs, size: int, *, whole: bool = False
) -> list[Deviation]:
    """Of every recorded parameter, over the first `size` samples of the batch.

    `whole`: in a forward pass over the whole batch, of which the loss of one sample after the other goes backward; for
    inputs that cannot be sliced. The outputs have to be ``[sample, ...]``.
    """
    names, parameters = list(capture.plan.parameters), list(capture.plan.parameters.values())
    with _undisturbed(model, capture):
        capture.paused = True
        if whole:
            loop = _one_by_one(model, inputs, size, parameters)
        else:
            loop = [_alone(model, inputs, i, parameters) for i in range(size)]
        capture.paused = False
        args, kwargs = (inputs.args, dict(inputs.kwargs)) if whole else inputs.pick(slice(0, size))
        with torch.enable_grad():
            loss = _loss(model(*args, **kwargs))
            capture.begin(inputs.samples if whole else size, loss.grad_fn)
            capture.run_backward(loss)
        parts = {name: Part(*(value[:size] for value in part)) for name, part in capture.take().items()}
    expected = torch.tensor(loop, dtype=torch.float64)  # [sample, parameter, (product, squared norm)]
    if not expected.isfinite().all():
        raise LayerError(
            expected="finite gradients for the first samples of the first batch, to check the layers with",
            found="NaN or infinity, already for single samples",
            todo="Look for them in the inputs and in the model's weights.",
        )
    zero = [0.0] * size
    found = torch.stack(
        [
            torch.stack([torch.as_tensor(value, dtype=torch.float64).cpu() for value in parts.get(name, (zero, zero))])
            for name in names
        ]
    ).permute(2, 0, 1)
    weights = torch.stack([torch.linalg.vector_norm(p.detach().double()).cpu() for p in parameters])
    return _compare(names, expected, found, weights)


def _compare(names: list[str], expected: Tensor, found: Tensor, weights: Tensor) -> list[Deviation]:
    norm, norm_found = expected[..., 1].sqrt(), found[..., 1].clamp_min(0).sqrt()
    # A gradient that is zero by its nature holds rounding only: it is measured against the whole.
    floor = 1e-3 * expected[..., 1].sum(dim=1, keepdim=True).sqrt()
    size = torch.maximum(norm, floor).clamp_min(1e-30)
    of_norm = ((norm - norm_found).abs() / size).nan_to_num(torch.inf).amax(dim=0)
    scale = size * weights.clamp_min(1e-30)
    of_product = ((expected[..., 0] - found[..., 0]).abs() / scale).nan_to_num(torch.inf).amax(dim=0)
    return [Deviation(name, float(a), float(b)) for name, a, b in zip(names, of_norm, of_product, strict=True)]


def _alone(model: nn.Module, inputs: Inputs, i: int, parameters: list[nn.Parameter]) -> list[tuple[float, float]]:
    """Product and squared norm of each parameter's gradient for sample `i` in a batch of one."""
    args, kwargs = inputs.pick(slice(i, i + 1))
    with torch.enable_grad():
        gradients = torch.autograd.grad(_loss(model(*args, **kwargs)), parameters, allow_unused=True)
    return _products(gradients, parameters)


def _products(gradients: Sequence[Tensor | None], parameters: list[nn.Parameter]) -> list[tuple[float, float]]:
    result = []
    for gradient, parameter in zip(gradients, parameters, strict=True):
        if gradient is None:
            result.append((0.0, 0.0))
            continue
        g, p = gradient.to_dense().double() if gradient.is_sparse else gradient.double(), parameter.detach().double()
        result.append((float((g * p).sum()), float(g.square().sum())))
    return result


def _one_by_one(
    model: nn.Module, inputs: Inputs, size: int, parameters: list[nn.Parameter]
) -> list[list[tuple[float, float]]]:
    """As `_alone`, of samples within the whole batch."""
    with torch.enable_grad():
        output = model(*inputs.args, **inputs.kwargs)
        losses = [_loss(output, slice(i, i + 1)) for i in range(size)]
        gradients = [torch.autograd.grad(loss, parameters, allow_unused=True, retain_graph=True) for loss in losses]
    return [_products(of_sample, parameters) for of_sample in gradients]


def _loss(output: Any, rows: slice = slice(None)) -> Tensor:
    """Σ z²/2 + c·z over the first output that has a gradient: the same for each sample, wherever it stands."""
    tensors = [t for t in tree_leaves(output) if isinstance(t, Tensor) and t.requires_grad and t.dim() > 1]
    if not tensors:
        raise LayerMismatchError(
            expected="the model to return its logits, [sample, class]",
            found="no output that depends on its parameters",
            todo="Record the module that computes the logits.",
        )
    logits = tensors[0][rows].float()
    slope = torch.linspace(-1.0, 1.0, logits.shape[-1], device=logits.device)
    return (logits.square() / 2 + slope * logits).sum()


@contextmanager
def _undisturbed(model: nn.Module, capture: LayerCapture) -> Iterator[None]:
    training = {module: module.training for module in model.modules()}
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    devices = sorted({p.device.index or 0 for p in model.parameters() if p.device.type == "cuda"})
    with torch.random.fork_rng(devices=devices):
        try:
            model.eval()
            capture.ready_for_check()
            capture.always, capture.paused = True, False
            yield
        finally:
            capture.always, capture.paused = False, False
            for module, flag in training.items():
                module.training = flag
            with torch.no_grad():
                for buffer, before in buffers:
                    if not torch.equal(buffer, before):
                        buffer.copy_(before)


def check(model: nn.Module, capture: LayerCapture, inputs: Inputs) -> list[Deviation]:
    """Compare, and raise if a layer deviates.

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
    worst = max(first or [], key=lambda deviation: deviation.worst)
    others = sum(deviation.worst > tolerance(model) for deviation in first or []) - 1
    raise LayerMismatchError(
        expected="the captured gradients of a few samples to equal those of each sample alone",
        found=f"a deviation of {worst.worst:.2g} of its size at {worst.parameter!r}"
        + (f", and {others} more parameters that deviate" if others else ""),
        todo="The model may mix the samples of a batch, or use the layer in a way not understood here. Leave it out "
        "(layers=[...] names what to record); `gwa-attrib doctor` lists every layer.",
    )


def _tried(model: nn.Module, capture: LayerCapture, inputs: Inputs, size: int) -> list[Deviation]:
    """Over slices of the batch; over the whole batch where its inputs cannot be sliced."""
    try:
        return deviations(model, capture, inputs, size)
    except GWAError:
        raise
    except Exception as error:
        meaning = capture.explain(error)
        if meaning is not None:
            raise meaning from error
        return deviations(model, capture, inputs, size, whole=True)


def tolerance(model: nn.Module) -> float:
    """Looser where the model computes in half precision."""
    half = any(p.dtype in (torch.bfloat16, torch.float16) for p in model.parameters())
    autocast = torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda")
    return HALF_PRECISION_TOLERANCE if half or autocast else TOLERANCE
