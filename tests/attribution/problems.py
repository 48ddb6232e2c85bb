"""Small models with data, and what attribution means for them, computed in loops."""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

L2 = 0.02


class Problem(NamedTuple):
    """A trained model, training samples and queries."""

    model: nn.Module
    x: Tensor
    y: Tensor
    query_x: Tensor
    query_y: Tensor

    @property
    def train(self) -> tuple[Tensor, Tensor]:
        return self.x, self.y

    @property
    def query(self) -> tuple[Tensor, Tensor]:
        return self.query_x, self.query_y


def classes_of(x: Tensor, generator: torch.Generator, classes: int = 3) -> Tensor:
    """Labels that a linear map of the inputs makes, a fifth of them drawn anew."""
    weight = torch.randn(x[0].numel(), classes, generator=generator, dtype=x.dtype)
    y = (x.flatten(1) @ weight).argmax(dim=1)
    anew = torch.rand(len(y), generator=generator) < 0.2
    return torch.where(anew, torch.randint(0, classes, y.shape, generator=generator), y)


def logistic(n: int = 150, features: int = 4) -> Problem:
    """Logistic regression with an L2 penalty on everything, at its minimum, in float64."""
    generator = torch.Generator().manual_seed(1)
    x, query = (torch.randn(count, features, generator=generator, dtype=torch.float64) for count in (n, 12))
    y = classes_of(torch.cat([x, query]), generator)
    model = nn.Linear(features, 3).double()
    fit(model, x, y[:n])
    return Problem(model, x, y[:n], query, y[n:])


def fit(model: nn.Module, x: Tensor, y: Tensor, total: int | None = None) -> None:
    """To the minimum of ``Σ loss / total + L2/2 ‖θ‖²``."""
    optimizer = torch.optim.LBFGS(
        model.parameters(), max_iter=500, tolerance_grad=1e-12, tolerance_change=1e-16, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        penalty = sum(p.square().sum() for p in model.parameters())
        value = F.cross_entropy(model(x), y, reduction="sum") / (total or len(x)) + L2 / 2 * penalty
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    optimizer.zero_grad()


def mlp() -> Problem:
    """Two layers, partly trained."""
    return _trained(lambda: nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)), (4,))


def cnn() -> Problem:
    """A convolution, a norm, a head."""

    def make() -> nn.Module:
        body = [nn.Conv2d(2, 3, 3, padding=1, stride=2), nn.GroupNorm(1, 3), nn.ReLU(), nn.Flatten()]
        return nn.Sequential(*body, nn.Linear(27, 3))

    return _trained(make, (2, 6, 6))


def plain_cnn() -> Problem:
    """A convolution and a head: what EK-FAC covers."""
    return _trained(
        lambda: nn.Sequential(nn.Conv2d(2, 3, 3, padding=1, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(27, 3)),
        (2, 6, 6),
    )


def _trained(make: Callable[[], nn.Module], shape: tuple[int, ...]) -> Problem:
    generator = torch.Generator().manual_seed(2)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = make().double()
    x = torch.randn(26, *shape, generator=generator, dtype=torch.float64)
    y = classes_of(x, generator)
    x, query_x, y, query_y = x[:19], x[19:], y[:19], y[19:]
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for _ in range(30):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    optimizer.zero_grad()
    return Problem(model, x, y, query_x, query_y)


def loop_gradients(model: nn.Module, x: Tensor, y: Tensor, names: list[str] | None = None) -> Tensor:
    """``[sample, parameter]``, by one backward pass each; of all parameters, or of those named."""
    parameters = [p for name, p in model.named_parameters() if names is None or name in names]
    rows = []
    for i in range(len(x)):
        loss = F.cross_entropy(model(x[i : i + 1]), y[i : i + 1])
        rows.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, parameters)]))
    return torch.stack(rows)


def head_names(model: nn.Module) -> list[str]:
    """Parameters of the last module."""
    names = [name for name, _ in model.named_parameters()]
    last = names[-1].rpartition(".")[0]
    return [name for name in names if name.rpartition(".")[0] == last]


def dense_hessian(model: nn.Module, x: Tensor, y: Tensor, names: list[str]) -> Tensor:
    """Of the mean loss, by autograd's own function of a flat vector."""
    own = {name: p.detach() for name, p in model.named_parameters()}
    sizes, shapes = [own[name].numel() for name in names], [own[name].shape for name in names]

    def loss(flat: Tensor) -> Tensor:
        parts = {n: t.view(s) for n, t, s in zip(names, flat.split(sizes), shapes, strict=True)}
        return F.cross_entropy(torch.func.functional_call(model, {**own, **parts}, (x,)), y)

    return torch.autograd.functional.hessian(loss, torch.cat([own[name].flatten() for name in names]))


def dense_gauss_newton(model: nn.Module, x: Tensor, names: list[str]) -> Tensor:
    """``mean Jᵀ (diag p - p pᵀ) J``, one sample and one output after the other."""
    parameters = [p for name, p in model.named_parameters() if name in names]
    total = torch.zeros(1)
    for i in range(len(x)):
        z = model(x[i : i + 1]).squeeze(0)
        rows = [torch.autograd.grad(z[c], parameters, retain_graph=True) for c in range(len(z))]
        jacobian = torch.stack([torch.cat([g.flatten() for g in row]) for row in rows])
        p = z.detach().softmax(dim=0)
        total = total + jacobian.T @ (p.diag() - torch.outer(p, p)) @ jacobian
    return total / len(x)
