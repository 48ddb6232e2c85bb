"""Per-sample products and gradient norms of many layers, computed while the backward pass goes by.

Forward hooks keep what a layer's rule needs; a hook on the layer's output computes products and norms as soon as its
gradient arrives, and keeps two numbers a sample. Parameters that no layer with a rule holds are looked up in the
autograd graph (`graph.py`). One layer's gradients are alive at a time.
"""

import weakref
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from gwa_attrib.capture.layers.arrange import Layout, guess, no_layout
from gwa_attrib.capture.layers.conservation import Totals
from gwa_attrib.capture.layers.graph import Parents, meetings, numbered, parameter_nodes, parents_of
from gwa_attrib.capture.layers.mixing import BatchNorms
from gwa_attrib.capture.layers.pieces import gradient_of_pieces, part_of_pieces
from gwa_attrib.capture.layers.plan import Plan
from gwa_attrib.capture.layers.rule import Operands, Part, parts_of
from gwa_attrib.capture.layers.shared_weights import SharedUse, gradient_of_uses, part_of_uses
from gwa_attrib.capture.layers.swap import can_swap, swapped
from gwa_attrib.capture.layers.taps import Owner, Piece, Spread, listen
from gwa_attrib.capture.layers.use import LayerUse
from gwa_attrib.errors import LayerError, StepOrderError


class LayerHook:
    """The hook on one layer. A copy of the model, or a saved one, gets a hook that does nothing in its place."""

    def __init__(self, capture: "LayerCapture", name: str) -> None:
        self._capture, self._name = capture, name

    def __call__(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        return self._capture.went_forward(self._name, module, args, kwargs, output)

    __call__._torchdynamo_disable = True  # type: ignore[attr-defined]  # torch.compiler.disable, without its import

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return _no_hook

    def __reduce__(self) -> tuple[Any, ...]:
        return _get_no_hook, ()


def _no_hook(*_: Any) -> None:
    """What a copied model carries instead of a hook."""


def _get_no_hook() -> Any:
    return _no_hook


def own_value(out: Tensor) -> Tensor:
    """The tensor to hang a hook on: of an output that is a reshaped view the tensor below.

    An operation in place on a view gives it another place in the graph, and hooks on the view are never called.
    """
    base = out._base
    same = base is not None and base.grad_fn is not None and base.numel() == out.numel()
    return base if same and base.is_contiguous() and out.is_contiguous() else out  # type: ignore[union-attr,return-value]


class LayerCapture:
    """Watches the layers of a plan inside a ``with`` block; afterwards the model is as it was."""

    def __init__(self, model: nn.Module, plan: Plan) -> None:
        self._model, self.plan = model, plan
        self.layouts: dict[str, Layout] = {}
        self.always = False
        """Capture in evaluation mode too: for the check."""
        self.paused = False
        self._active = False
        self.swaps = True
        """Let the weight gradients of convolutions come from their per-sample gradients."""
        self.forms_gradients = False
        """Keep what `take_gradients` needs instead of computing products and norms at once."""
        self.by_others: frozenset[str] = frozenset()
        """Layers that a subclass measures in another way."""
        self._handles: list[RemovableHandle] = []
        self._batch_norms = BatchNorms(model, plan)
        self._forget()

    def _forget(self) -> None:
        self._uses: list[weakref.ref[LayerUse]] = []
        self._parts: dict[str, Part] = {}
        self._shared: dict[str, list[SharedUse]] = {}
        self._pieces: dict[str, list[Piece]] = {}
        self._outputs: dict[str, tuple[LayerUse, list[Piece]]] = {}
        self._several: set[str] = set()
        self._ran_elsewhere: set[str] = set()
        self._samples: int | None = None
        self._listening: list[RemovableHandle] = []
        self.totals: Totals | None = None

    def __enter__(self) -> "LayerCapture":
        self._active = True
        for name, module in self.plan.layers.items():
            hook = LayerHook(self, name)
            self._handles.append(module.register_forward_hook(hook, prepend=True, with_kwargs=True))
        self._handles += self._batch_norms.watch(lambda: self._counts())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._active = False
        for handle in (*self._handles, *self._listening):
            handle.remove()
        self._handles.clear()
        self._forget()

    def _counts(self) -> bool:
        return not self.paused and torch.is_grad_enabled() and (self._model.training or self.always)

    def went_forward(
        self, name: str, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Any
    ) -> Tensor | None:
        """Take note of a forward pass of a layer, if it is one of training; may give the output another node."""
        if not self._counts() or not out.requires_grad or not out.numel():
            return None
        self._batch_norms.ran(name)
        if name in self.by_others:
            self._ran_elsewhere.add(name)
            return None
        x = args[0] if args else kwargs.get("input")
        swap = self.swaps and can_swap(module, x, out)
        use = LayerUse(name, module, self.plan.rules[name], args, kwargs, out, keep=not swap)
        self._uses.append(weakref.ref(use))  # alive as long as the graph is
        if swap:
            return swapped(module, x, out, lambda x, delta: self._came_back(use, delta.detach(), x.detach()))  # type: ignore[arg-type]

        def arrived(grad: Tensor) -> None:
            self._came_back(use, grad.detach().reshape(use.output_shape))

        own_value(out).register_hook(arrived)
        return None

    def ready_for_check(self) -> None:
        """Called when the model has been put in evaluation mode for the check."""

    def explain(self, error: RuntimeError) -> LayerError | None:
        """What an error of torch in the forward pass means, if it comes from the capture."""
        return None

    def begin(self, samples: int, root: Any, *, totals: bool = False) -> None:
        """The backward pass begins: at the node `root`, over a batch of `samples`.

        Raises:
            LayerError: a parameter meets the samples in an operation that is not understood.
        """
        if not self._active or self.paused or self._samples is not None:
            return
        self._samples = samples
        if not samples:
            return
        alive = [use for use in (ref() for ref in self._uses) if use is not None]
        counts: dict[str, int] = {name: 1 for layer in self._ran_elsewhere for name in self.plan.parameters_of(layer)}
        for use in alive:
            for name in self.plan.parameters_of(use.name):
                counts[name] = counts.get(name, 0) + 1
        self._several = {name for name, count in counts.items() if count > 1 or self.forms_gradients}
        if totals:
            self.totals = Totals(self.plan.parameters)
            self._listening += self.totals.listen()
        missing = [name for name in self.plan.parameters if name not in counts]
        unarranged = [use for use in alive if self._layout(use) is Layout.SHARED]
        if missing or unarranged:
            parents = parents_of([root])
            self._listen_to_parameters(parents, missing)
            for use in unarranged:
                self._listen_to_output(parents, use)

    def _layout(self, use: LayerUse) -> Layout:
        assert self._samples is not None
        known = self.layouts.get(use.name, Layout.SECOND if use.name in self.plan.time_major else None)
        layout = guess(use.leading, self._samples, known)
        if layout is Layout.SHARED and not use.may_be_shared:
            raise no_layout(use.name, use.input_shape, self._samples)
        return layout

    def _listen_to_parameters(self, parents: Parents, missing: list[str]) -> None:
        nodes = parameter_nodes(parents)
        assert self._samples is not None
        for name in missing:
            parameter, pieces = self.plan.parameters[name], self._pieces.setdefault(name, [])
            node = nodes.get(id(parameter))
            if node is None or self._samples == 1:
                self._listening.append(parameter.register_hook(self._arrival(name, pieces)))
                continue
            owner = Owner(name, self._samples, name in self.plan.time_major)
            for meeting in meetings(parents, node, parameter.shape, self._samples):
                self._listening.append(listen(meeting, owner, pieces.append))

    def _arrival(self, name: str, pieces: list[Piece]) -> Any:
        """Of a parameter outside the graph no gradient may come; of a batch of one it is the sample's own."""

        def arrived(grad: Tensor) -> None:
            if self._samples != 1:
                raise LayerError(
                    expected=f"to find {name!r} in the autograd graph",
                    found="a gradient that came to it from inside torch.compile, reentrant checkpointing or a function "
                    "of its own",
                    todo="Use checkpoint(..., use_reentrant=False), record before compiling, "
                    "or leave the parameter out: layers=[...] names what to record.",
                )
            index = torch.arange(grad.numel()).view(grad.shape)
            pieces.append(Spread(grad.detach().float().unsqueeze(0), index))

        return arrived

    def _listen_to_output(self, parents: Parents, use: LayerUse) -> None:
        assert self._samples is not None
        pieces: list[Piece] = []
        self._outputs[use.name] = (use, pieces)
        owner = Owner(use.name, self._samples, use.name in self.plan.time_major)
        node = numbered(parents, use.node_number)
        if node is None:
            raise no_layout(use.name, use.input_shape, self._samples)
        for meeting in meetings(parents, node, use.output_shape, self._samples):
            self._listening.append(listen(meeting, owner, pieces.append))

    def _came_back(self, use: LayerUse, grad: Tensor, x: Tensor | None = None) -> dict[str, Tensor]:
        """The gradient of a layer's output has come; gives the sums of the per-sample gradients, if it formed them."""
        if not self._active or self.paused or self._samples == 0:
            return {}
        if self._samples is None:
            raise LayerError(
                expected="the gradient of the head's output to come before those of other layers",
                found=f"that of {use.name!r} first",
                todo="Name the head with head=..., and record only layers below it: layers=[...].",
            )
        layout = self._layout(use)
        if layout is Layout.SHARED:
            return {}
        self.layouts.setdefault(use.name, layout)
        operands = use.operands(self._samples, layout, grad, x)
        names = self.plan.parameters_of(use.name)
        if any(name in self._several for name in names):
            for name, own in names.items():
                self._shared.setdefault(name, []).append(SharedUse(use.rule, use.module, own, operands))
            return {}
        sums: dict[str, Tensor] | None = {} if x is not None else None
        of_own = {own: name for name, own in names.items()}
        for own, part in parts_of(use.rule, use.module, operands, sums).items():
            self._add(of_own[own], part)
        return sums or {}

    def _add(self, name: str, part: Part) -> None:
        if name in self._parts:
            raise StepOrderError(
                expected=f"{name!r} to get its gradient once between two steps",
                found="a second gradient, from another backward pass or from reentrant checkpointing",
                todo="Call recorder.step(targets) after each backward pass; use checkpoint(..., use_reentrant=False).",
            )
        self._parts[name] = part

    def take(self) -> dict[str, Part]:
        """Product and squared norm of each parameter that got a gradient since the last call, by its name.

        In units of the gradient that came back to the logits: a factor of the whole batch (the mean over the batch,
        accumulation, a loss scale) is still in.

        Raises:
            BatchMixingError: a batch norm in training mode mixed the samples of a layer.
            LayerError, StepOrderError: as found in the backward pass.
        """
        try:
            self._judge()
            samples = self._samples or 0
            for name, uses in self._shared.items():
                self._add(name, part_of_uses(self.plan.parameters[name], uses))
            for name, pieces in self._pieces.items():
                if pieces:
                    self._add(name, part_of_pieces(self.plan.parameters[name], pieces, samples))
            for use, pieces in self._outputs.values():
                self._finish_output(use, pieces, samples)
            if self.totals is not None:
                self.totals.compare(self._parts)
            return self._parts
        finally:
            self._end_pass()

    def take_gradients(self) -> dict[str, Tensor]:
        """The per-sample gradients themselves, ``[sample, *shape]``; needs `forms_gradients` during the backward pass.

        In the units of `take`, and with its errors. Memory: samples times parameters.
        """
        try:
            self._judge()
            samples = self._samples or 0
            every = slice(0, samples)
            formed = {name: gradient_of_uses(uses, every) for name, uses in self._shared.items()}
            for name, pieces in self._pieces.items():
                if pieces:
                    formed[name] = gradient_of_pieces(self.plan.parameters[name], pieces, every)
            for use, pieces in self._outputs.values():
                if pieces:
                    own = use.rule.gradient(use.module, self._operands_of_output(use, pieces, samples))
                    formed |= {name: own[there] for name, there in self.plan.parameters_of(use.name).items()}
            return formed
        finally:
            self._end_pass()

    def _judge(self) -> None:
        self._batch_norms.judge(self._parts | self._shared | self._pieces)

    def _end_pass(self) -> None:
        for handle in self._listening:
            handle.remove()
        self._forget()
        self._batch_norms.forget()

    def _finish_output(self, use: LayerUse, pieces: list[Piece], samples: int) -> None:
        if not pieces:
            return
        operands = self._operands_of_output(use, pieces, samples)
        names = {own: name for name, own in self.plan.parameters_of(use.name).items()}
        for own, part in parts_of(use.rule, use.module, operands).items():
            self._add(names[own], part)

    def _operands_of_output(self, use: LayerUse, pieces: list[Piece], samples: int) -> Operands:
        self.layouts.setdefault(use.name, Layout.SHARED)
        like = torch.empty(use.output_shape, device="meta")
        return use.operands(samples, Layout.SHARED, gradient_of_pieces(like, pieces, slice(0, samples)))
