"""Hooks on the classification head: they carry the head's input and output of a training batch, and compute nothing.

A batch counts once it has gone forward in training mode with gradients enabled *and* backward: evaluation passes,
`no_grad` passes and forwards whose loss was thrown away leave no trace. Beside them: how an optimizer moves the head.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.nn.utils.parametrize import is_parametrized
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.utils.hooks import RemovableHandle

from gwa_attrib.errors import HeadError, StepOrderError
from gwa_attrib.hooks.heads import candidates
from gwa_attrib.hooks.hook import Hook
from gwa_attrib.hooks.sharding import in_forward, is_sharded


class HeadBatch:
    """Input and output of the head in one forward pass, and the gradient that came back to its output."""

    def __init__(
        self,
        name: str,
        head: nn.Linear,
        features: Tensor,
        logits: Tensor,
        version: tuple[int, ...],
        *,
        sharded: bool = False,
    ) -> None:
        self.name = name
        self.head = head
        self.features = features.detach()
        self.logits = logits.detach()
        self.version = version
        self.logits_grad: Tensor | None = None
        self._whole = in_forward(head) if sharded else None

    @property
    def weight(self) -> Tensor:
        return self.head.weight.detach() if self._whole is None else self._whole[0]

    @property
    def bias(self) -> Tensor | None:
        if self._whole is not None:
            return self._whole[1]
        return None if self.head.bias is None else self.head.bias.detach()


class HeadCapture:
    """The watch over the head of `model` inside a ``with`` block; afterwards the model is as it was.

    With ``head=None`` all linear layers are watched for one batch, and the one that ran last is kept.
    """

    def __init__(self, model: nn.Module, head: str | nn.Module | None = None) -> None:
        self._watched = candidates(model, head)
        self._handles: dict[str, RemovableHandle] = {}
        self._sharded: dict[str, list[nn.Parameter]] = {}
        self._global_handles: list[RemovableHandle] = []
        self._ready: list[HeadBatch] = []
        self._forwards = 0
        self._optimizer_steps = 0
        self.is_paused = False
        """True while forward passes are none of training."""
        self.on_backward: Callable[[int, Node], None] | None = None
        """Told when a backward pass reaches the logits: the number of samples, and the node of the autograd graph."""

    @property
    def name(self) -> str | None:
        """The head's name in the model; None as long as it is not known."""
        return next(iter(self._watched)) if len(self._watched) == 1 else None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Take nothing that passes through the head inside the block for training."""
        self.is_paused = True
        try:
            yield
        finally:
            self.is_paused = False

    def trains(self) -> bool:
        """Tell whether the head is in training mode; before it is known, whether a linear layer is."""
        return any(module.training for module in self._watched.values())

    def __enter__(self) -> "HeadCapture":
        for name, module in self._watched.items():
            self._sharded[name] = [parameter for parameter in module.parameters() if is_sharded(parameter)]
            # The first of the hooks: after one of its own, fully_shard has made the weight a sharded DTensor again.
            self._handles[name] = module.register_forward_hook(self._hook(name), prepend=True, with_kwargs=True)
        # Of all optimizers: which of them moves the head is not told, and may not be known yet.
        self._global_handles.append(register_optimizer_step_post_hook(self._optimizer_stepped))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in (*self._handles.values(), *self._global_handles):
            handle.remove()
        self._handles.clear()
        self._global_handles.clear()
        self._ready.clear()

    def _hook(self, name: str) -> Hook:
        def went_forward(
            module: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Tensor], output: Tensor
        ) -> None:
            self.watch(name, module, args[0] if args else kwargs["input"], output)

        return Hook(went_forward)

    def watch(self, name: str, module: nn.Module, features: Tensor, output: Tensor) -> None:
        """Take note of a forward pass, if it is one of training."""
        head = self._watched.get(name)
        if (
            self.is_paused
            or module is not head
            or not (head.training and torch.is_grad_enabled() and output.requires_grad)
        ):
            return
        self._forwards += 1
        batch = HeadBatch(name, head, features, output, self._version(name), sharded=bool(self._sharded[name]))
        # On the tensor: a module's full backward hook makes its output a view, and refuses operations in place on it.
        output.register_hook(lambda grad: self._went_backward(batch, grad))  # type: ignore[no-untyped-call]

    def _version(self, name: str) -> tuple[int, ...]:
        """Return numbers that change with every change of the head's parameters in place, or by their optimizer.

        Both, because an optimizer that writes to ``parameter.data`` leaves no trace in the first. Of sharded parameters
        the shards count: the whole is made anew in each pass.
        """
        parameters = self._sharded[name] or self._watched[name].parameters()
        return (self._optimizer_steps, *(parameter._version for parameter in parameters))

    def _optimizer_stepped(self, optimizer: torch.optim.Optimizer, *_: object) -> None:
        weights = {id(parameter) for module in self._watched.values() for parameter in module.parameters()}
        if any(id(parameter) in weights for group in optimizer.param_groups for parameter in group["params"]):
            self._optimizer_steps += 1

    def _went_backward(self, batch: HeadBatch, grad: Tensor) -> None:
        # The hook on the tensor lives as long as the graph, perhaps longer than the `with` block.
        if not self._handles:
            return
        # A second gradient through the same pass (retain_graph=True) is no second batch.
        if batch.logits_grad is None:
            if self.on_backward is not None and not self._ready:
                self.on_backward(len(grad), torch._C._current_autograd_node())
            self._ready.append(batch)
        batch.logits_grad = grad.detach()

    def take(self) -> HeadBatch:
        """Return the batch that went forward and backward since the last call.

        Raises:
            StepOrderError: there is none, there are several, or the weights changed meanwhile.
            HeadError: its head saw something else than one row of features per sample.
        """
        # Emptied before anything is refused: the next step begins afresh.
        ready, self._ready = self._ready, []
        forwards, self._forwards = self._forwards, 0
        batch = self._only(ready, forwards)
        if batch.version != self._version(batch.name):
            raise StepOrderError(
                expected="recorder.step() before optimizer.step(), while the weights are those of the gradient",
                found="weights of the head that changed since the forward pass",
                todo="Call recorder.step(targets) right after loss.backward().",
            )
        if is_parametrized(batch.head) and list(batch.head.parametrizations.buffers()):  # type: ignore[union-attr]
            raise HeadError(
                expected="a head whose weight can be read without changing it",
                found=f"{batch.name!r}, whose weight comes out of a state that each reading moves (spectral_norm)",
                todo="Train the head without this parametrization, or name another layer with head=....",
            )
        if batch.features.dim() != 2:
            raise HeadError(
                expected="the head to map one row of features per sample, [sample, feature]",
                found=f"an input of shape {list(batch.features.shape)} at {batch.name!r}",
                todo="Sequence and pixel heads are not supported; name a per-sample head with head=....",
            )
        return batch

    def _only(self, ready: list[HeadBatch], forwards: int) -> HeadBatch:
        if len(self._watched) > 1 and ready:
            ready = self._settle(ready)
        if len(ready) == 1:
            return ready[0]
        if len(ready) > 1:
            raise StepOrderError(
                expected="one recorder.step() after each loss.backward()",
                found=f"{len(ready)} forward passes of the head that went backward since the last step",
                todo="Call recorder.step(targets) once per backward pass; with gradient accumulation too.",
            )
        if forwards:
            raise StepOrderError(
                expected="recorder.step() after loss.backward()",
                found=f"{forwards} forward passes in training mode since the last step, and no backward pass",
                todo="Call loss.backward() first, then recorder.step(targets), then optimizer.step().",
            )
        raise StepOrderError(
            expected="a forward pass of the head in training mode since the last step",
            found="none",
            todo="Call model.train() before the loop and recorder.step(targets) once per batch. If a compiled model "
            "was called before recording began, its hooks never fire: begin recording before the first call.",
        )

    def _settle(self, ready: list[HeadBatch]) -> list[HeadBatch]:
        """Keep the linear layer that ran last, and stop watching the others.

        It is the one whose output got its gradient first. The order of the forward passes would not do: under
        checkpointing the layers of the body run again during the backward pass.
        """
        head = ready[0].name
        for name in [name for name in self._watched if name != head]:
            del self._watched[name]
            self._handles.pop(name).remove()
        return [batch for batch in ready if batch.name == head]


def learning_rate(optimizer: torch.optim.Optimizer | None, weight: Tensor) -> float:
    """Return the learning rate of the parameter group that holds `weight`; NaN without an optimizer."""
    for group in optimizer.param_groups if optimizer else ():
        if any(parameter is weight for parameter in group["params"]):
            return float(group["lr"])
    return float("nan")


def optimizer_facts(optimizer: torch.optim.Optimizer | None, weight: Tensor) -> dict[str, str | float] | None:
    """Return the optimizer's name, and momentum and weight decay of the group that holds `weight`; None without one."""
    if optimizer is None:
        return None
    facts: dict[str, str | float] = {"name": type(optimizer).__name__}
    for group in optimizer.param_groups:
        if any(parameter is weight for parameter in group["params"]):
            facts |= {name: float(group[name]) for name in ("momentum", "weight_decay") if name in group}
    return facts
