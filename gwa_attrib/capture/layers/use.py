"""One use of a layer in a forward pass, until its gradient has come back."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gwa_attrib.capture.layers.arrange import Layout, samples_first
from gwa_attrib.capture.layers.keep import Kept
from gwa_attrib.capture.layers.rule import Operands, Rule
from gwa_attrib.errors import LayerError, StepOrderError
from gwa_attrib.functional.targets import full_precision


class LayerUse:
    """What is kept of a forward pass of one layer: what its rule needs, the way autograd keeps tensors."""

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
        """Of this call, where the layer is called more than once."""
        self._spent = False
        inputs = rule.unpack(module, args, kwargs) if rule.unpack else (args[0] if args else kwargs["input"],)
        x = inputs[0].detach()
        self.input_shape, self.output_shape = x.shape, out.shape
        self.lead = x.dim() - rule.event(module, x)
        node = out.grad_fn
        # A number, not the node: the node's hooks hold this object, and a cycle through it would outlive the graph.
        self.node_number = node._sequence_nr() if node is not None else -1
        self._inputs = Kept(*inputs) if keep else None
        self._out = Kept(out) if keep and rule.needs_output(module, x, out) else None

    @property
    def leading(self) -> torch.Size:
        """The dimensions that hold samples and positions."""
        return self.input_shape[: self.lead]

    @property
    def may_be_shared(self) -> bool:
        """Whether the output may be one value for all samples, such as position embeddings."""
        return len(self.leading) == 0 or self.leading[0] == 1 or len(self.leading) == 1

    def operands(self, samples: int, layout: Layout, delta: Tensor, x: Tensor | None = None) -> Operands:
        """Samples first, in full precision; to be called once. `x` is the input, if it was not kept here.

        With `Layout.SHARED`, `delta` is per sample already: ``[sample, *output_shape]``.
        """
        if self._spent:
            raise second_gradient(self.name)
        inputs = (x,) if x is not None else self._inputs.read() if self._inputs is not None else None
        if inputs is None:
            raise LayerError(
                expected=f"the input of the layer {self.name!r} to be as it was in the forward pass",
                found="one that was changed in place before the backward pass",
                todo="Do not write into it: use the operation that is not in place.",
            )
        kept = self._out.read() if self._out is not None else None
        self._inputs = self._out = None
        self._spent = True
        if layout is Layout.SHARED:
            flat = delta.reshape(samples, -1, *self.output_shape[self.lead :])
            spread = [
                t.reshape(1, -1, *t.shape[self.lead :]).expand(samples, *[-1] * (t.dim() - self.lead + 1))
                for t in inputs
            ]
            return _operands(spread, flat, None)
        arranged = [samples_first(t, self.lead, samples, layout) for t in inputs]
        out = None if kept is None else samples_first(kept[0], self.lead, samples, layout)
        return _operands(arranged, samples_first(delta, self.lead, samples, layout), out)


def second_gradient(name: str) -> StepOrderError:
    """The error of a layer or parameter whose gradient comes back twice."""
    return StepOrderError(
        expected=f"{name!r} to get its gradient once between two steps",
        found="a second gradient, from another backward pass or from reentrant checkpointing",
        todo="Call recorder.step(targets) after each backward pass; use checkpoint(..., use_reentrant=False).",
    )


def _operands(inputs: list[Tensor], delta: Tensor, out: Tensor | None) -> Operands:
    x, *more = (full_precision(t) for t in inputs)
    delta = full_precision(delta)
    if x.is_floating_point():
        x = x.to(delta.dtype)
    out = None if out is None else full_precision(out).to(delta.dtype)
    return Operands(x, delta, out, more[0] if more else None)
