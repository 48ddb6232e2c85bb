"""A convolution whose weight gradient is the sum of the per-sample gradients that are formed anyway.

Where the norms come from per-sample kernels, letting autograd form the weight gradient as well would do the work
twice. The hook on such a layer puts a node of its own into the graph in place of the convolution's: the output is the
same, the gradient of the input comes from the same kernel, and the weight gradient is the sum over the samples. It
equals autograd's up to rounding.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from gwa_attrib.gradients.rules.convolution import geometry, prefers_gram

Sums = dict[str, Tensor]
CameBack = Callable[[Tensor, Tensor], Sums]
"""Gets the layer's input and the gradient of its output; gives the sums of the per-sample gradients it formed."""


def can_swap(module: nn.Module, x: object, out: Tensor) -> bool:
    """Tell whether per-sample kernels of this convolution are formed, and its geometry is the library's own."""
    if not isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d) or not isinstance(x, Tensor):
        return False
    simple = module.padding_mode == "zeros" and not isinstance(module.padding, str)
    whole = x.dim() == len(module.kernel_size) + 2 and x.shape[0] > 1 and module.weight.requires_grad
    return simple and whole and not prefers_gram(module, x, out, saves=True)


class _Given:
    """The output, carried past autograd: as an argument of the function it would become a view."""

    def __init__(self, module: nn.Module, out: Tensor, came_back: CameBack) -> None:
        self.module, self.out, self.came_back = module, out.data, came_back


class _PerSampleConvolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, given: _Given) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.module, ctx.came_back = given.module, given.came_back
        out = given.out
        del given.out
        return out

    @staticmethod
    def backward(ctx: Any, delta: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        with torch.no_grad():
            sums = ctx.came_back(x.detach(), delta.detach())
        if torch.is_grad_enabled():  # create_graph=True: of the library's own kernel, which has a derivative
            sums = {}
        shape = geometry(ctx.module)
        need_x, need_weight, need_bias, _ = ctx.needs_input_grad
        dims = len(shape.kernel)
        gradients = torch.ops.aten.convolution_backward(
            delta,
            x.to(delta.dtype),
            weight.to(delta.dtype),
            [weight.shape[0]],
            shape.stride,
            shape.padding,
            shape.dilation,
            False,
            (0,) * dims,
            shape.groups,
            # What the sums hold is not computed again.
            [need_x, need_weight and "weight" not in sums, need_bias and "bias" not in sums],
        )
        of_x, of_weight, of_bias = gradients
        of_weight = sums["weight"] if need_weight and "weight" in sums else of_weight
        of_bias = sums["bias"] if need_bias and "bias" in sums else of_bias
        return (
            None if of_x is None else of_x.to(x.dtype),
            None if of_weight is None else of_weight.to(weight.dtype),
            None if of_bias is None else of_bias.to(weight.dtype),
            None,
        )


def swapped(module: nn.Conv1d | nn.Conv2d | nn.Conv3d, x: Tensor, out: Tensor, came_back: CameBack) -> Tensor:
    """Return `out` with the gradient of its weight taken from `came_back`."""
    result: Tensor = _PerSampleConvolution.apply(x, module.weight, module.bias, _Given(module, out, came_back))  # type: ignore[no-untyped-call]
    return result
