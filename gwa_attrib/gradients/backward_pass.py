"""One backward pass: what comes back of each layer becomes two numbers a sample, as soon as it is there.

A law to check a whole batch by: the products of the samples' gradients with a parameter add up to the product of the
gradient that autograd accumulates. A use that was missed breaks it.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.autograd import Variable
from torch.autograd.graph import Node
from torch.utils.hooks import RemovableHandle

from gwa_attrib.errors import LayerMismatchError, StepOrderError
from gwa_attrib.functional.tolerances import HALF_TYPES, TOTALS, ZERO_BY_NATURE
from gwa_attrib.gradients.autograd.graph import mixed_parameters, parents_of
from gwa_attrib.gradients.autograd.shared_tensors import SharedTensors
from gwa_attrib.gradients.autograd.shared_weights import SharedUse, gradient_of_uses, part_of_uses
from gwa_attrib.gradients.autograd.taps import gradient_of_pieces, part_of_pieces
from gwa_attrib.gradients.batch_mixing import refuse_mixed
from gwa_attrib.gradients.layout import Known, Layout, call_name, no_layout
from gwa_attrib.gradients.plan import Plan
from gwa_attrib.gradients.rules.rule import Gradients, Operands, Part, parts_of
from gwa_attrib.gradients.use import LayerUse, second_gradient


class Totals:
    """The products ⟨∂L/∂θ, θ⟩ of the parameters in one backward pass, as autograd has them."""

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
        floor = ZERO_BY_NATURE * torch.stack(list(sizes.values())).amax() if sizes else 0.0
        gaps = [
            _gap(product, parts.get(name), sizes.get(name, product.new_zeros(())) + floor)
            for name, product in self._products.items()
        ]
        tolerance = TOTALS.at(self.half)
        # One transfer for all parameters.
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
    """Return how far the sum over samples is from the whole, relative to `size`; 0 where a loss scale overflowed."""
    if part is None:
        return torch.where(product.abs() > 0, torch.inf, 0.0)
    gap = (part.dot.sum() - product).abs() / size.clamp_min(torch.finfo(size.dtype).tiny)
    return torch.where(size.isfinite() & product.isfinite(), gap, 0.0)


class BackwardPass:
    """A backward pass from the moment the gradient reaches the logits until its numbers are taken."""

    def __init__(self, plan: Plan, known: Known, samples: int, *, gradients: bool) -> None:
        self._plan, self._known, self.samples = plan, known, samples
        self._keeps = gradients
        self._parts: dict[str, Part] = {}
        self._several: set[str] = set()
        self._uses: dict[str, list[SharedUse]] = {}
        self._tensors = SharedTensors(plan, known, samples)
        self._totals: Totals | None = None
        self.stepped = False
        """True once an optimizer has moved recorded parameters since the gradient reached the logits."""
        self._over = False
        self._versions = self._weights()

    def begin(
        self, root: Node | None, uses: Iterable[LayerUse], elsewhere: Iterable[str], *, totals: bool, mixing: str | None
    ) -> None:
        """Look at the uses that went forward below the node `root`.

        Args:
            root: Node of the autograd graph.
            uses: Of layers, in their order.
            elsewhere: Parameters that are measured in another way.
            totals: Check that the samples add up, and look for functions that mix samples.
            mixing: Name of a layer that mixed the samples, if there was one.
        """
        with suppress(RuntimeError):  # outside of a backward pass, which is then told apart by the caller alone
            Variable._execution_engine.queue_callback(self._end)
        if not self.samples:
            return
        self._plan.check_frozen()
        uses = list(uses)
        calls: Counter[str] = Counter()
        for use in uses:
            use.key = call_name(use.name, calls[use.name])
            calls[use.name] += 1
        counts = Counter(name for use in uses for name in self._plan.parameters_of(use.name))
        self._several = {name for name, count in counts.items() if count > 1 or self._keeps}
        if totals:
            self._totals = Totals(self._plan.parameters)
            self._tensors.handles += self._totals.listen(lambda: self._over)
        counts.update(elsewhere)
        missing = [name for name in self._plan.parameters if name not in counts]
        for use in uses:
            use.layout = self._layout(use)
        shared = [use for use in uses if use.layout is Layout.SHARED]
        if missing or shared or totals:
            parents = parents_of([root])
            if mixing is not None or totals:
                refuse_mixed(self._plan, mixed_parameters(parents), mixing)
            self._tensors.listen(
                parents, missing, shared, lambda name: name in self._parts or name in self._uses, lambda: self._over
            )

    def _end(self) -> None:
        """Take note that the backward pass is over: what comes later belongs to another."""
        self._over = True

    def _weights(self) -> int:
        """Return a number that changes with every change of the recorded parameters in place."""
        return sum(parameter._version for parameter in self._plan.parameters.values())

    def _layout(self, use: LayerUse) -> Layout:
        preferred = Layout.SECOND if use.name in self._plan.time_major else None
        layout = self._known.layout(use.key, use.leading, self.samples, preferred)
        if layout is Layout.SHARED and not use.may_be_shared:
            raise no_layout(use.name, use.input_shape, self.samples)
        return layout

    def came_back(
        self, use: LayerUse, grad: Tensor, x: Tensor | None = None, x_grad: Tensor | None = None
    ) -> Gradients:
        """Measure a use whose output's gradient is there. `x` is the input, where the use did not keep it.

        Gives the sums of the per-sample gradients over the samples, if `x` is given and they were formed.
        """
        if self._over:
            raise second_gradient(use.name)
        layout = (use.layout or self._layout(use)) if self.samples else Layout.SHARED
        if layout is Layout.SHARED:
            return {}
        self._known.learn(use.key, layout, self.samples)
        if self._totals is not None and grad.dtype in HALF_TYPES:
            # Under autocast the parameters are in float32: what the layers compute in shows here.
            self._totals.half = True
        return self._measure(use, use.operands(self.samples, layout, grad, x, x_grad), summed=x is not None)

    def _measure(self, use: LayerUse, operands: Operands, *, summed: bool = False) -> Gradients:
        names = self._plan.parameters_of(use.name)
        if any(name in self._several for name in names):
            operands = replace(operands, out=None, x_grad=None)  # which no gradient is formed from
            for name, own in names.items():
                self._uses.setdefault(name, []).append(SharedUse(use.rule, use.module, own, operands))
            return {}
        sums: Gradients | None = {} if summed else None
        name_of = {own: name for name, own in names.items()}
        for own, part in parts_of(use.rule, use.module, operands, sums).items():
            if own in name_of:
                self.add(name_of[own], part)
        return sums or {}

    def add(self, name: str, part: Part) -> None:
        """Keep the numbers of a parameter that is done.

        Raises:
            StepOrderError: it was done before.
        """
        if name in self._parts:
            raise second_gradient(name)
        self._parts[name] = part

    def parts(self) -> dict[str, Part]:
        """Return the numbers of every parameter that got a gradient; see `LayerCapture.take`."""
        if self.stepped or self._versions != self._weights():
            raise StepOrderError(
                expected="recorder.step() before optimizer.step(), while the weights are those of the gradient",
                found="recorded weights that changed since the backward pass began",
                todo="Call recorder.step(targets) right after loss.backward(); an optimizer that steps inside the "
                "backward pass goes with layers='head' only.",
            )
        self._finish_outputs()
        for name, uses in self._uses.items():
            self.add(name, part_of_uses(self._plan.parameters[name], uses))
        for name, pieces in self._tensors.pieces.items():
            if pieces:
                self.add(name, part_of_pieces(self._plan.parameters[name], pieces, self.samples))
        if self._totals is not None:
            self._totals.compare(self._parts)
        return self._parts

    def gradients(self) -> Gradients:
        """Return every gradient that is there, ``[sample, *shape]``; see `LayerCapture.take_gradients`."""
        uses, formed = self.uses()
        every = slice(0, self.samples)
        return {name: gradient_of_uses(of_parameter, every) for name, of_parameter in uses.items()} | formed

    def uses(self) -> tuple[dict[str, list[SharedUse]], Gradients]:
        """Return what `gradients` is formed from: uses of layers, and the gradients found elsewhere in the graph."""
        self._finish_outputs()
        every = slice(0, self.samples)
        formed = {
            name: gradient_of_pieces(self._plan.parameters[name], pieces, every)
            for name, pieces in self._tensors.pieces.items()
            if pieces
        }
        return self._uses, formed

    def _finish_outputs(self) -> None:
        for use, pieces in self._tensors.outputs:
            if pieces:
                self._known.learn(use.key, Layout.SHARED, self.samples)
                self._measure(use, self._tensors.operands(use, pieces))

    def close(self) -> None:
        self._tensors.close()
