"""One use of a layer in a forward pass, until its gradient has come back.

The tensors it needs are kept the way autograd keeps its own, so that they take part in what a user does with saved
tensors: under activation checkpointing they are thrown away and computed again, under `save_on_cpu` they move, and one
that was overwritten in place is noticed.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from gwa_attrib.errors import LayerError, StepOrderError
from gwa_attrib.functional.targets import full_precision
from gwa_attrib.gradients.layout import Layout, samples_first
from gwa_attrib.gradients.rules.rule import Operands, Rule


def own_value(out: Tensor) -> Tensor:
    """Return the tensor to hang a hook on: for an output that is a reshaped view, the tensor below.

    An operation in place on a view gives it another place in the graph, and hooks on the view are never called.
    """
    base = out._base
    same = base is not None and base.grad_fn is not None and base.numel() == out.numel()
    return base if same and base.is_contiguous() and out.is_contiguous() else out  # type: ignore[union-attr,return-value]


INPUT_OF = {"AddmmBackward0": 1, "MmBackward0": 0}
"""The number of the gradient of a matrix product that is that of the layer's input."""


def gives_input_gradient(x: Tensor, out: Tensor) -> bool:
    """Tell whether the node of a linear layer's output computes the gradient of its input."""
    node = own_value(out).grad_fn
    return x.requires_grad and x.dtype == out.dtype and node is not None and node.name() in INPUT_OF


class _Keeper(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, anchor: Tensor, *tensors: Tensor) -> Tensor:
        ctx.save_for_backward(*tensors)
        return anchor.new_empty(())

    @staticmethod
    def backward(ctx: FunctionCtx, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        raise NotImplementedError("kept tensors are no part of the loss")


def packs() -> bool:
    """Tell whether hooks on saved tensors (checkpointing, `save_on_cpu`) are in force."""
    # torch has no public way to ask. Where this one is missing: as if there were some, which is slower and right.
    top = getattr(torch._C._autograd, "_top_saved_tensors_default_hooks", None)
    return top is None or top(False) is not None


class Kept:
    """Some tensors, detached; `read` gives them back once, or None if one was overwritten meanwhile.

    A node of autograd's keeps them only where hooks on saved tensors are in force: it costs more than the reference.
    """

    def __init__(self, *tensors: Tensor) -> None:
        self._tensors = tuple(tensor.detach() for tensor in tensors)
        self._node: Any = None
        if packs():
            with torch.enable_grad():
                anchor = torch.empty((), requires_grad=True)
                self._node = _Keeper.apply(anchor, *self._tensors).grad_fn  # type: ignore[no-untyped-call]
            self._tensors = ()
        self._versions = [tensor._version for tensor in self._tensors]

    def read(self) -> tuple[Tensor, ...] | None:
        if self._node is None:
            return self._tensors if [tensor._version for tensor in self._tensors] == self._versions else None
        try:
            return tuple(self._node.saved_tensors)
        except RuntimeError as error:
            if "inplace" in str(error) or "in-place" in str(error):
                return None
            raise


class LayerUse:
    """A forward pass of one layer: what its rule needs of it, kept the way autograd keeps tensors."""

    def __init__(
        self,
        name: str,
        module: nn.Module,
        rule: Rule,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        out: Tensor,
        *,
        keep: bool = True,
    ) -> None:
        self.name, self.module, self.rule = name, module, rule
        self.key = name
        """The name of this call, where the layer is called more than once."""
        self.spent = False
        """True once its gradient has been taken in."""
        self.layout: Layout | None = None
        """The place of the samples, once it is settled."""
        inputs = rule.unpack(module, args, kwargs) if rule.unpack else (args[0] if args else kwargs["input"],)
        x = inputs[0]
        self.input_shape, self.output_shape = x.shape, out.shape
        self.lead = x.dim() - rule.event(module, x)
        node = out.grad_fn
        # A number, not the node: the node's hooks hold this object, and a cycle through it would outlive the graph.
        self.node_number = node._sequence_nr() if node is not None else -1
        self._statistics = rule.statistics(node) if keep and not packs() else ()
        self._inputs = Kept(*inputs) if keep else None
        needs_output = keep and rule.needs_output(module, x, out)
        self.takes_input_gradient = needs_output and gives_input_gradient(x, out)
        """True where the gradient of the input serves as well as the output would, and costs no memory."""
        self._out = Kept(out) if needs_output and not self.takes_input_gradient else None

    @property
    def leading(self) -> torch.Size:
        """The dimensions that hold samples and positions."""
        return self.input_shape[: self.lead]

    @property
    def may_be_shared(self) -> bool:
        """True where the output may be one value for all samples, such as position embeddings."""
        return len(self.leading) == 0 or self.leading[0] == 1 or len(self.leading) == 1

    def operands(
        self, samples: int, layout: Layout, delta: Tensor, x: Tensor | None = None, x_grad: Tensor | None = None
    ) -> Operands:
        """Return the operands, samples first and in full precision; once. `x` is the input, if it was not kept here.

        With `Layout.SHARED`, `delta` is per sample already: ``[sample, *output_shape]``.
        """
        if self.spent:
            raise second_gradient(self.name)
        inputs = (x,) if x is not None else self._inputs.read() if self._inputs is not None else None
        if inputs is None:
            raise LayerError(
                expected=f"the input of the layer {self.name!r} to be as it was in the forward pass",
                found="one that was changed in place before the backward pass",
                todo="Do not write into it: use the operation that is not in place.",
            )
        kept = self._out.read() if self._out is not None else None
        statistics = self._statistics
        # Let go at once: the tensors of one layer are alive at a time.
        self._inputs = self._out = None
        self._statistics = ()
        self.spent = True
        if layout is Layout.SHARED:
            flat = delta.reshape(samples, -1, *self.output_shape[self.lead :])
            spread = [
                t.reshape(1, -1, *t.shape[self.lead :]).expand(samples, *[-1] * (t.dim() - self.lead + 1))
                for t in inputs
            ]
            return _operands(spread, flat)

        def arranged(t: Tensor) -> Tensor:
            return samples_first(t, self.lead, samples, layout)

        return _operands(
            [arranged(t) for t in inputs],
            arranged(delta),
            None if kept is None else arranged(kept[0]),
            None if x_grad is None else arranged(x_grad.reshape(self.input_shape)),
            tuple(arranged(t) for t in statistics),
        )


def second_gradient(name: str) -> StepOrderError:
    """Return the error of a layer or parameter whose gradient comes back twice."""
    return StepOrderError(
        expected=f"{name!r} to get its gradient once between two steps",
        found="a second gradient, from another backward pass, a penalty on gradients (create_graph=True) or reentrant "
        "checkpointing",
        todo="Call recorder.step(targets) after each backward pass; let the penalty go backward after that, from a "
        "forward pass of its own in evaluation mode; use checkpoint(..., use_reentrant=False), or leave the layer out: "
        "layers=[...].",
    )


def _operands(
    inputs: list[Tensor],
    delta: Tensor,
    out: Tensor | None = None,
    x_grad: Tensor | None = None,
    statistics: tuple[Tensor, ...] = (),
) -> Operands:
    x, *more = (full_precision(t) for t in inputs)
    delta = full_precision(delta)
    if x.is_floating_point():
        x = x.to(delta.dtype)
    out, x_grad = (None if t is None else full_precision(t).to(delta.dtype) for t in (out, x_grad))
    return Operands(x, delta, out, more[0] if more else None, x_grad, statistics)
