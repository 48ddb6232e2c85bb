"""What every captured number has to be: a float64 loop over batches of one, by autograd, on a copy of the model.

Nothing here knows how the package measures; `assert_exact` runs both and compares each parameter of each sample.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gwa_attrib.gradients import LayerCapture, make_plan
from gwa_attrib.gradients.self_check import Inputs, check

CLASSES = 3
FLOOR = 1e-2
"""Below this share of the whole a gradient is measured against it: of one that is zero by nature rounding is left."""
Arguments = tuple[Any, ...]
Pick = Callable[[Arguments, int], Arguments]


class Measured(NamedTuple):
    """Of one parameter, in float64: ⟨g, θ⟩ and ‖g‖ of each sample, g the gradient of its own loss."""

    product: Tensor
    norm: Tensor


def targets_of(samples: int) -> Tensor:
    return torch.arange(samples) % CLASSES


def rows(arguments: Arguments, i: int) -> Arguments:
    """Sample `i` of arguments that have the samples first."""
    return tuple(x[i : i + 1] for x in arguments)


def columns(arguments: Arguments, i: int) -> Arguments:
    """Sample `i` of arguments ``[time, sample, ...]``."""
    return tuple(x[:, i : i + 1] for x in arguments)


def one_by_one(model: nn.Module, arguments: Arguments, targets: Tensor, pick: Pick = rows) -> dict[str, Measured]:
    """Each sample alone, in float64."""
    model = copy.deepcopy(model).double()
    losses = (_loss(model, _double(pick(arguments, i)), targets[i : i + 1]) for i in range(len(targets)))
    return _of_losses(model, losses)


def in_one_graph(model: nn.Module, arguments: Arguments, targets: Tensor) -> dict[str, Measured]:
    """All samples in one forward pass, as drawn by dropout now; each sample's loss goes backward on its own."""
    model = copy.deepcopy(model)
    losses = F.cross_entropy(model(*arguments), targets, reduction="none")
    return _of_losses(model, iter(losses.unbind()), keep=True)


def _loss(model: nn.Module, arguments: Arguments, target: Tensor) -> Tensor:
    return F.cross_entropy(model(*arguments), target)


def _double(arguments: Arguments) -> Arguments:
    return tuple(x.double() if isinstance(x, Tensor) and x.is_floating_point() else x for x in arguments)


def _of_losses(model: nn.Module, losses: Iterator[Tensor], *, keep: bool = False) -> dict[str, Measured]:
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in trained}
    for loss in losses:
        gradients = torch.autograd.grad(loss, list(trained.values()), allow_unused=True, retain_graph=keep)
        for (name, parameter), gradient in zip(trained.items(), gradients, strict=True):
            g = torch.zeros_like(parameter) if gradient is None else gradient.to_dense()
            g = g.double()
            found[name].append((float((g * parameter.detach().double()).sum()), float(g.norm())))
    return {name: Measured(*torch.tensor(values, dtype=torch.float64).T) for name, values in found.items()}


def captured(
    model: nn.Module,
    arguments: Arguments,
    targets: Tensor,
    capture: LayerCapture,
    *,
    reduction: str = "mean",
    factor: float = 1.0,
) -> dict[str, Measured]:
    """One training step inside ``with capture:``, given back in units of each sample's own loss."""
    model.zero_grad()
    loss = F.cross_entropy(model(*arguments), targets, reduction=reduction) * factor
    capture.begin(len(targets), loss.grad_fn, totals=True)
    loss.backward()
    scale = factor / len(targets) if reduction == "mean" else factor
    return {
        name: Measured(part.dot.double() / scale, part.squared_norm.double().sqrt() / scale)
        for name, part in capture.take().items()
    }


def measure(
    model: nn.Module,
    arguments: Arguments,
    targets: Tensor | None = None,
    *,
    layers: str | Sequence[str] = "all",
    swaps: bool = True,
    settled: Arguments | None = None,
    settled_samples: int | None = None,
    **loss: Any,
) -> dict[str, Measured]:
    """What a fresh capture measures; `settled` are inputs of a batch, of so many samples, for the check before it."""
    capture = LayerCapture(model, make_plan(model, layers))
    capture.swaps = swaps
    targets = targets_of(len(arguments[0])) if targets is None else targets
    with capture:
        if settled is not None:
            check(model, capture, Inputs(settled, {}, settled_samples or len(settled[0])))
        return captured(model, arguments, targets, capture, **loss)


def step(model: nn.Module, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Outputs and gradients of a training step that nothing watches."""
    model.zero_grad()
    out = model(x)
    F.cross_entropy(out, targets_of(len(x))).backward()
    return out.detach(), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def watched_step(model: nn.Module, x: Tensor, *, swaps: bool) -> tuple[Tensor, dict[str, Tensor]]:
    """The same with a capture around it."""
    model.zero_grad()
    capture = LayerCapture(model, make_plan(model, "all"))
    capture.swaps = swaps
    with capture:
        out = model(x)
        loss = F.cross_entropy(out, targets_of(len(x)))
        capture.begin(len(x), loss.grad_fn)
        loss.backward()
        capture.take()
    return out.detach(), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def assert_same(
    found: dict[str, Measured], expected: dict[str, Measured], model: nn.Module, tolerance: float = 1e-5
) -> None:
    """Norms within `tolerance` of themselves, products within `tolerance` of the product of the norms."""
    parameters = dict(model.named_parameters())
    whole = torch.stack([expected[name].norm.square() for name in expected]).sum(dim=0).sqrt()
    assert set(found) <= set(expected), set(found) - set(expected)
    for name, (product, norm) in expected.items():
        if name not in found:
            assert not norm.any(), f"{name} was not captured"
            continue
        assert found[name].norm.shape == found[name].product.shape == norm.shape, name
        size = torch.maximum(norm, FLOOR * whole).clamp_min(1e-12)
        of_norm = ((found[name].norm - norm).abs() / size).max()
        assert of_norm <= tolerance, f"norm of {name}: off by {of_norm:.2g}"
        size = size * parameters[name].detach().double().norm().clamp_min(1e-12)
        of_product = ((found[name].product - product).abs() / size).max()
        assert of_product <= tolerance, f"product of {name}: off by {of_product:.2g}"


def assert_exact(
    model: nn.Module,
    *arguments: Any,
    targets: Tensor | None = None,
    pick: Pick = rows,
    tolerance: float = 1e-5,
    **capture: Any,
) -> None:
    """Every parameter of every sample, for a loss that is a mean and one that is a sum.

    Keyword arguments go to `measure`; with `layers=[...]` only what was named is compared.
    """
    targets = targets_of(len(arguments[0])) if targets is None else targets
    expected = one_by_one(model, arguments, targets, pick)
    if "layers" in capture:
        chosen = make_plan(model, capture["layers"]).parameters
        expected = {name: value for name, value in expected.items() if name in chosen}
    for reduction in ("mean", "sum"):
        found = measure(model, arguments, targets, reduction=reduction, **capture)
        assert_same(found, expected, model, tolerance)


class Readout(nn.Module):
    """Reads classes off the whole output of `body`, so that the gradient differs at every entry of it."""

    def __init__(self, body: nn.Module, *arguments: Any) -> None:
        super().__init__()
        self.body = body
        with torch.no_grad():
            self.head = nn.Linear(body(*arguments)[:1].numel(), CLASSES)

    def forward(self, *arguments: Any) -> Tensor:
        return self.head(torch.tanh(self.body(*arguments)).flatten(1))


class Body(nn.Module):
    """Layers by name, and how they are used."""

    def __init__(self, forward: Callable[..., Tensor], **layers: nn.Module | nn.Parameter) -> None:
        super().__init__()
        for name, layer in layers.items():
            setattr(self, name, layer)
        self._use = forward

    def forward(self, *arguments: Any) -> Tensor:
        return self._use(self, *arguments)
