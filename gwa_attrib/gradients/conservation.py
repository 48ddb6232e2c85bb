"""A law to check a whole batch by: the products of the samples' gradients with a parameter add up to the product of
the gradient that autograd accumulates. A use that was missed breaks it."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from gwa_attrib.errors import LayerMismatchError
from gwa_attrib.gradients.rules.rule import Part

TOLERANCE = 1e-3
HALF_PRECISION_TOLERANCE = 5e-2


class Totals:
    """⟨∂L/∂θ, θ⟩ of each parameter in one backward pass, as autograd has it."""

    def __init__(self, parameters: Mapping[str, nn.Parameter]) -> None:
        self._parameters = parameters
        self._products: dict[str, Tensor] = {}
        self.half = False

    def listen(self, over: Callable[[], bool]) -> list[RemovableHandle]:
        """Add up what comes to the parameters until the backward pass is `over`."""
        return [p.register_hook(self._arrival(name, over)) for name, p in self._parameters.items()]  # type: ignore[no-untyped-call]

    def _arrival(self, name: str, over: Callable[[], bool]) -> Callable[[Tensor], None]:
        def arrived(grad: Tensor) -> None:
            if over():
                return
            parameter = self._parameters[name].detach()
            grad = grad.detach().to_dense() if grad.is_sparse else grad.detach()
            product = torch.dot(grad.float().reshape(-1), parameter.float().reshape(-1))
            self._products[name] = self._products.get(name, torch.zeros_like(product)) + product

        return arrived

    def compare(self, parts: Mapping[str, Part]) -> None:
        """Raise if a parameter's samples do not add up.

        Raises:
            LayerMismatchError: naming the parameter and the size of the gap.
        """
        sizes = {name: self._size(name, parts[name]) for name in self._products if name in parts}
        # Of a gradient that is zero by its nature (a bias before a norm) only rounding is left: it counts as nothing.
        floor = 1e-3 * torch.stack(list(sizes.values())).amax() if sizes else 0.0
        gaps = [
            _gap(product, parts.get(name), sizes.get(name, product.new_zeros(())) + floor)
            for name, product in self._products.items()
        ]
        tolerance = HALF_PRECISION_TOLERANCE if self.half else TOLERANCE
        for name, gap in zip(self._products, torch.stack(gaps).tolist() if gaps else (), strict=True):
            if gap > tolerance:
                raise LayerMismatchError(
                    expected=f"the samples' gradients of {name!r} to add up to its gradient",
                    found=f"a gap of {gap:.2g} of their size: it is used somewhere that was not seen",
                    todo="Call the layer that holds it instead of using its weight in a function; leave a penalty on "
                    "the weights to the optimizer (weight_decay); or leave it out: layers=[...] names what to record. "
                    "`gwa-attrib doctor` lists how each layer is covered.",
                )

    def _size(self, name: str, part: Part) -> Tensor:
        weight: Tensor = torch.linalg.vector_norm(self._parameters[name].detach().float())
        return part.squared_norm.sqrt().sum() * weight


def _gap(product: Tensor, part: Part | None, size: Tensor) -> Tensor:
    """Distance of the sum over samples from the whole, relative to `size`; 0 where a loss scale has overflowed."""
    if part is None:
        return torch.where(product.abs() > 0, torch.inf, 0.0)
    gap = (part.dot.sum() - product).abs() / size.clamp_min(torch.finfo(size.dtype).tiny)
    return torch.where(size.isfinite() & product.isfinite(), gap, 0.0)
