"""Per-sample products and gradient norms of many layers, computed while the backward pass goes by.

Forward hooks keep what a layer's rule needs; a hook on the layer's output computes products and norms as soon as its
gradient arrives, and keeps two numbers a sample. One layer's gradients are alive at a time. Parameters that no layer
with a rule used are looked up in the autograd graph.
"""

import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from types import TracebackType
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.utils.hooks import RemovableHandle

from gwa_attrib.errors import LayerError
from gwa_attrib.gradients.autograd.shared_weights import SharedUse
from gwa_attrib.gradients.backward_pass import BackwardPass
from gwa_attrib.gradients.batch_mixing import BatchNorms
from gwa_attrib.gradients.layout import Known
from gwa_attrib.gradients.plan import Plan
from gwa_attrib.gradients.rules.rule import Gradients, Part
from gwa_attrib.gradients.swap import can_swap, swapped
from gwa_attrib.gradients.use import INPUT_OF, LayerUse, own_value, second_gradient
from gwa_attrib.hooks.hook import Hook, untraced


class Listening(Enum):
    """The ways in which a capture can listen to the passes that go through the model; one at a time."""

    OFF = "outside of the `with` block: no hook is there"
    PAUSED = "the hooks let every pass go by"
    TRAINING = "passes of training are measured"
    EVERY_PASS = "passes in evaluation mode are measured too: for the check"
    FORWARD_ONLY = "forward passes of every kind are watched, and their gradients pass unheard"
    GRADIENTS = "of every pass what `take_gradients` needs is kept, instead of products and norms"

    @property
    def watches(self) -> bool:
        """True where forward passes are noted."""
        return self not in (Listening.OFF, Listening.PAUSED)

    @property
    def hears(self) -> bool:
        """True where gradients are taken in."""
        return self.watches and self is not Listening.FORWARD_ONLY


class LayerCapture:
    """The watch over the layers of a plan inside a ``with`` block; afterwards the model is as it was."""

    def __init__(self, model: nn.Module, plan: Plan) -> None:
        self._model, self.plan = model, plan
        self.known = Known()
        """The place of the samples in the input of each layer, as far as it is known."""
        self.listening = Listening.OFF
        self.swaps = True
        """Lets the weight gradients of convolutions come from their per-sample gradients."""
        self.trains: Callable[[], bool] = lambda: model.training
        """Tells whether a forward pass now is one of training."""
        self.by_others: frozenset[str] = frozenset()
        """Layers that a subclass measures in another way."""
        self._handles: list[RemovableHandle] = []
        self._batch_norms = BatchNorms(model, plan)
        self._pass: BackwardPass | None = None
        self._uses: list[weakref.ref[LayerUse]] = []
        self._ran_elsewhere: set[str] = set()

    def __enter__(self) -> "LayerCapture":
        self.listening = Listening.TRAINING
        for name, module in self.plan.layers.items():
            # The first of the hooks: those of the user's own may give another output.
            self._handles.append(module.register_forward_hook(self._hook(name), prepend=True, with_kwargs=True))
        self._handles += self._batch_norms.watch(lambda: self._counts())
        self._handles.append(register_optimizer_step_post_hook(self._optimizer_stepped))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.listening = Listening.OFF
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._end_pass()

    def _optimizer_stepped(self, optimizer: torch.optim.Optimizer, *_: object) -> None:
        """Take note of a step that moved recorded parameters.

        An optimizer that writes to ``parameter.data`` leaves no other trace.
        """
        if self._pass is not None:
            mine = {id(parameter) for parameter in self.plan.parameters.values()}
            groups = (parameter for group in optimizer.param_groups for parameter in group["params"])
            self._pass.stepped |= any(id(parameter) in mine for parameter in groups)

    @contextmanager
    def while_listening(self, listening: Listening) -> Iterator[None]:
        """Listen in another way inside the block, and as before afterwards."""
        before, self.listening = self.listening, listening
        try:
            yield
        finally:
            self.listening = before

    def _counts(self) -> bool:
        if not (self.listening.watches and torch.is_grad_enabled()):
            return False
        return self.listening is not Listening.TRAINING or self.trains()

    def _hook(self, name: str) -> Hook:
        def went_forward(
            module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor
        ) -> Tensor | None:
            return self.went_forward(name, module, args, kwargs, output)

        return Hook(untraced(went_forward))

    def went_forward(
        self, name: str, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Tensor
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
            return swapped(module, x, out, lambda x, delta: self._came_back(use, delta, x))  # type: ignore[arg-type]

        self._listen(use, own_value(out))
        return None

    def _listen(self, use: LayerUse, out: Tensor) -> None:
        def arrived(grad: Tensor, x_grad: Tensor | None = None) -> None:
            self._came_back(use, grad.detach().reshape(use.output_shape), x_grad=x_grad)

        if not use.takes_input_gradient:
            out.register_hook(arrived)  # type: ignore[no-untyped-call]
            return
        node = cast(Node, out.grad_fn)
        which = INPUT_OF[node.name()]

        def went_back(of_inputs: tuple[Tensor | None, ...], of_output: tuple[Tensor | None, ...]) -> None:
            if of_output[0] is not None:
                x_grad = of_inputs[which]
                arrived(of_output[0], None if x_grad is None else x_grad.detach())

        # On the node, which gets the gradients of its inputs as well as that of its output.
        node.register_hook(went_back)

    def ready_for_check(self) -> None:
        """Make the layers ready once the model has been put in the mode of the check."""

    def run_backward(self, loss: Tensor, *, again: bool = False) -> None:
        """Run a backward pass that leaves the parameters' gradients alone. `again`: others will follow."""
        torch.autograd.grad(loss, list(self.plan.parameters.values()), allow_unused=True, retain_graph=again)

    def explain(self, error: Exception) -> LayerError | None:
        """Return the meaning of an error of torch in the forward pass, if it comes from the capture."""
        return None

    def begin(self, samples: int, root: Node | None, *, totals: bool = False) -> None:
        """Begin a backward pass at the node `root` of the autograd graph, over a batch of `samples`.

        `totals`: check that the samples add up to the gradients that autograd accumulates.

        Raises:
            BatchMixingError: a batch norm in training mode mixed the samples of a layer.
            LayerError: a parameter meets the samples in an operation that is not understood.
        """
        if not self.listening.watches or self._pass is not None:
            return
        self._pass = BackwardPass(self.plan, self.known, samples, gradients=self.listening is Listening.GRADIENTS)
        # A pass whose loss was thrown away has taken its uses along.
        alive = [use for use in (ref() for ref in self._uses) if use is not None]
        elsewhere = [name for layer in self._ran_elsewhere for name in self.plan.parameters_of(layer)]
        self._batch_norms.judge({use.name for use in alive} | self._ran_elsewhere)
        self._pass.begin(root, alive, elsewhere, totals=totals, mixing=self._batch_norms.mixing)

    def _came_back(
        self, use: LayerUse, grad: Tensor, x: Tensor | None = None, x_grad: Tensor | None = None
    ) -> Gradients:
        if not self.listening.hears:
            return {}
        if self._pass is None and use.spent:
            raise second_gradient(use.name)
        if self._pass is None:
            raise LayerError(
                expected="the gradient of the head's output to come before those of other layers",
                found=f"that of {use.name!r} first",
                todo="Name the head with head=..., and record only layers below it: layers=[...].",
            )
        return self._pass.came_back(use, grad, x, x_grad)

    def take(self) -> dict[str, Part]:
        """Return product and squared norm of each parameter that got a gradient since the last call, by its name.

        In units of the gradient that came back to the logits: a factor of the whole batch (the mean over the batch,
        accumulation, a loss scale) is still in.

        Raises:
            LayerError, StepOrderError: as found in the backward pass.
        """
        try:
            return {} if self._pass is None else self._pass.parts()
        finally:
            self._end_pass()

    def take_gradients(self) -> Gradients:
        """Return the per-sample gradients, ``[sample, *shape]``, after a pass with `Listening.GRADIENTS`.

        In the units of `take`, and with its errors. Memory: samples times parameters.
        """
        try:
            return {} if self._pass is None else self._pass.gradients()
        finally:
            self._end_pass()

    def take_uses(self) -> tuple[dict[str, list[SharedUse]], Gradients]:
        """Return input and output gradient of each use of a layer, by parameter, and all other gradients.

        As `take_gradients`, with nothing formed that need not be.
        """
        try:
            return ({}, {}) if self._pass is None else self._pass.uses()
        finally:
            self._end_pass()

    def drop(self) -> None:
        """Forget a backward pass that was not taken."""
        if self._pass is not None:
            self._end_pass()

    def _end_pass(self) -> None:
        if self._pass is not None:
            self._pass.close()
        self._pass = None
        self._uses, self._ran_elsewhere = [], set()
        self._batch_norms.forget()
