"""A capture of a few samples at once, against each sample's own gradient by autograd.

In one graph: a single forward pass as the model trains, through which the loss of one sample after the other goes
backward; it shows what mixes samples in training mode too. Or alone: a forward pass for each, in evaluation mode.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from gwa_attrib.errors import LayerError, LayerMismatchError
from gwa_attrib.functional.tolerances import ZERO_BY_NATURE
from gwa_attrib.gradients.capture import LayerCapture, Listening
from gwa_attrib.gradients.rules.normalization import BATCH_NORMS
from gwa_attrib.gradients.rules.rule import Part
from gwa_attrib.hooks.undisturbed import left_undisturbed

Products = list[tuple[float, float]]
"""The pairs ⟨g, θ⟩ and ‖g‖² of each parameter, of one sample's gradient g."""


class Deviation(NamedTuple):
    """The deviation of one parameter, the largest over the samples, relative to its gradient's norm."""

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

    def pick(self, rows: slice | list[int]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        def part(value: object) -> Any:
            if not isinstance(value, Tensor) or value.dim() == 0:
                return value
            if value.shape[0] == self.samples:
                return value[rows]
            return value[:, rows] if value.dim() > 1 and value.shape[1] == self.samples else value

        return tree_map(part, self.args), tree_map(part, dict(self.kwargs))


def batch_size(args: Sequence[object], kwargs: Mapping[str, object], announced: int = 0) -> int:
    """Return the first dimension of the first tensor among the arguments; 0 if there is none.

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


def in_one_graph(
    model: nn.Module, capture: LayerCapture, inputs: Inputs, size: int, *, whole: bool = False
) -> list[Deviation]:
    """Compare every recorded parameter over the first `size` samples of the batch; outputs are ``[sample, ...]``.

    `whole`: in a forward pass over the whole batch, for inputs that cannot be sliced.
    """
    parameters, samples = list(capture.plan.parameters.values()), inputs.samples if whole else size
    args, kwargs = (inputs.args, dict(inputs.kwargs)) if whole else inputs.pick(slice(0, size))
    with _looked_at(model, capture, training=None):
        output = model(*args, **kwargs)
        if len(_logits(output)) != samples:
            raise ValueError("the outputs are not [sample, ...]")
        parts = _captured(capture, _loss(output), samples, again=True)
        with capture.while_listening(Listening.FORWARD_ONLY):
            losses = [_loss(output, slice(i, i + 1)) for i in range(size)]
            loop = [_products(_gradients(loss, parameters, again=True), parameters) for loss in losses]
    if not torch.tensor(loop).isfinite().all():
        raise ValueError("a sample's gradient overflows as the model trains")
    return _deviations(capture, loop, parts)


def alone(model: nn.Module, capture: LayerCapture, inputs: Inputs, size: int) -> list[Deviation]:
    """Compare every recorded parameter with batches of one, in evaluation mode; outputs may be in any order."""
    parameters = list(capture.plan.parameters.values())
    with _looked_at(model, capture, training=False):
        loop = []
        with capture.while_listening(Listening.PAUSED):
            for i in range(size):
                args, kwargs = inputs.pick(slice(i, i + 1))
                loop.append(_products(_gradients(_loss(model(*args, **kwargs)), parameters), parameters))
        args, kwargs = inputs.pick(slice(0, size))
        parts = _captured(capture, _loss(model(*args, **kwargs)), size)
    return _deviations(capture, loop, parts)


@contextmanager
def _looked_at(model: nn.Module, capture: LayerCapture, *, training: bool | None) -> Iterator[None]:
    """Let batch norms use their stored statistics in the block; whether training mixes is judged elsewhere."""
    with left_undisturbed(model, training=training), torch.enable_grad():
        for module in model.modules():
            if isinstance(module, BATCH_NORMS):
                module.training = False
        capture.ready_for_check()
        with capture.while_listening(Listening.EVERY_PASS):
            try:
                yield
            finally:
                capture.drop()


def _captured(capture: LayerCapture, loss: Tensor, samples: int, *, again: bool = False) -> dict[str, Part]:
    capture.begin(samples, loss.grad_fn)
    capture.run_backward(loss, again=again)
    return capture.take()


def _gradients(loss: Tensor, parameters: list[nn.Parameter], *, again: bool = False) -> Sequence[Tensor | None]:
    return torch.autograd.grad(loss, parameters, allow_unused=True, retain_graph=again)


def _deviations(capture: LayerCapture, loop: list[Products], parts: Mapping[str, Part]) -> list[Deviation]:
    names, parameters = list(capture.plan.parameters), list(capture.plan.parameters.values())
    size = len(loop)
    expected = torch.tensor(loop, dtype=torch.float64)  # [sample, parameter, (product, squared norm)]
    if not expected.isfinite().all():
        raise LayerError(
            expected="finite gradients for the first samples of the first batch, to check the layers with",
            found="NaN or infinity, already for single samples",
            todo="Look for them in the inputs and in the model's weights.",
        )
    zero = Part(*torch.zeros(2, size))
    measured = [[value[:size].double().cpu() for value in parts.get(name, zero)] for name in names]
    found = torch.stack([torch.stack(part) for part in measured]).permute(2, 0, 1)
    weights = torch.stack([torch.linalg.vector_norm(p.detach().double()).cpu() for p in parameters])
    return _compare(names, expected, found, weights)


def _compare(names: list[str], expected: Tensor, found: Tensor, weights: Tensor) -> list[Deviation]:
    norm, norm_found = expected[..., 1].sqrt(), found[..., 1].clamp_min(0).sqrt()
    # A gradient that is zero by its nature holds rounding only: it is measured against the whole. So is the product of
    # weights that start near zero.
    floor = ZERO_BY_NATURE * expected[..., 1].sum(dim=1, keepdim=True).sqrt()
    size = torch.maximum(norm, floor).clamp_min(1e-30)
    of_norm = ((norm - norm_found).abs() / size).nan_to_num(torch.inf).amax(dim=0)
    scale = size * weights
    scale = torch.maximum(scale, ZERO_BY_NATURE * scale.amax(dim=1, keepdim=True)).clamp_min(1e-30)
    of_product = ((expected[..., 0] - found[..., 0]).abs() / scale).nan_to_num(torch.inf).amax(dim=0)
    return [Deviation(name, float(a), float(b)) for name, a, b in zip(names, of_norm, of_product, strict=True)]


def _products(gradients: Sequence[Tensor | None], parameters: list[nn.Parameter]) -> Products:
    result = []
    for gradient, parameter in zip(gradients, parameters, strict=True):
        if gradient is None:
            result.append((0.0, 0.0))
            continue
        g, p = gradient.to_dense().double() if gradient.is_sparse else gradient.double(), parameter.detach().double()
        result.append((float((g * p).sum()), float(g.square().sum())))
    return result


def _loss(output: object, rows: slice = slice(None)) -> Tensor:
    """Return Σ z²/2 + c·z over the logits: the same for each sample, wherever it stands."""
    logits = _logits(output)[rows].float()
    # A head that starts at zero would have no gradient without a slope.
    slope = torch.linspace(-1.0, 1.0, logits.shape[-1], device=logits.device)
    return (logits.square() / 2 + slope * logits).sum()


def _logits(output: object) -> Tensor:
    """Return the first output that has a gradient."""
    tensors = [t for t in tree_leaves(output) if isinstance(t, Tensor) and t.requires_grad and t.dim() > 1]
    if not tensors:
        raise LayerMismatchError(
            expected="the model to return its logits, [sample, class]",
            found="no output that depends on its parameters",
            todo="Record the module that computes the logits.",
        )
    return tensors[0]
