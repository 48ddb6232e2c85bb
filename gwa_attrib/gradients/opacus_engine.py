"""Opacus as an engine: its GradSampleHooks form the per-sample gradients of the layers for which they are right.

Opacus 1.6 is silently wrong for convolutions with reflect, replicate or circular padding, for embeddings with a
padding index and for bags with repeated rows; it raises for a layer norm without bias, forms the product of all
channels for a depthwise kernel, and the whole table once per sample for any embedding. Those layers, and those it does
not know, keep our own rules. Its gradients are taken layer by layer, in the backward pass, and nothing that it leaves
on the model stays.
"""

import logging
import warnings
from collections import Counter
from collections.abc import Iterable
from types import TracebackType
from typing import Any

from torch import Tensor, nn

from gwa_attrib.errors import LayerError, MissingDependencyError
from gwa_attrib.functional.targets import full_precision
from gwa_attrib.gradients.capture import LayerCapture
from gwa_attrib.gradients.plan import Plan
from gwa_attrib.gradients.rules.rule import Part, own_parameters, reduce_gradient


def grad_sample_hooks() -> Any:
    """Import Opacus' class without the logging handler that its import adds to the root logger.

    Raises:
        MissingDependencyError: Opacus is not there, or is older than 1.6.
    """
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        from opacus.grad_sample.grad_sample_module import GradSampleHooks
    except ImportError as error:
        raise MissingDependencyError(
            expected="Opacus 1.6 or newer for engine='opacus'",
            found=str(error),
            todo="Run `pip install 'opacus>=1.6'`, or leave engine='auto'.",
        ) from error
    finally:
        root.handlers[:], root.level = handlers, level
    return GradSampleHooks


def is_right_for(module: nn.Module) -> bool:
    """Tell whether Opacus' rule for this layer is exact, and forms no more than the gradients."""
    if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        # Wrong for other paddings; and of a depthwise kernel the product of all channels is formed.
        return module.padding_mode == "zeros" and not (module.groups > 1 and module.groups == module.in_channels)
    if isinstance(module, nn.LayerNorm):
        # Opacus raises for a layer norm without a bias.
        return module.bias is not None
    if isinstance(module, nn.modules.instancenorm._InstanceNorm):
        return not module.track_running_stats
    return isinstance(module, nn.Linear | nn.GroupNorm | nn.RMSNorm)


class OpacusCapture(LayerCapture):
    """A capture in which Opacus forms the gradients of the layers it is right for."""

    def __init__(self, model: nn.Module, plan: Plan) -> None:
        super().__init__(model, plan)
        base = grad_sample_hooks()
        holders = Counter(name for layer in plan.layers for name in plan.parameters_of(layer))
        known = {
            name: module
            for name, module in plan.layers.items()
            if type(module) in base.GRAD_SAMPLERS
            and is_right_for(module)
            and name not in plan.time_major
            and all(holders[parameter] == 1 for parameter in plan.parameters_of(name))
        }
        self._modules = known
        self._names = {module: name for name, module in known.items()}
        self._base = base
        self._opacus: Any = None
        self.by_others = frozenset(known)

    def __enter__(self) -> "OpacusCapture":
        super().__enter__()
        self._quiet = warnings.catch_warnings()
        self._quiet.__enter__()
        # The first layer's input has no gradient, and torch warns of that in each forward pass.
        warnings.filterwarnings("ignore", message="Full backward hook is firing")
        self._opacus = _hooks_class(self._base)(self._model, self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._opacus is not None:
            self._opacus.cleanup()
            self._opacus = None
            self._quiet.__exit__(None, None, None)
        for module in self._modules.values():
            _clear(module)
            for parameter in module.parameters(recurse=False):
                _forget(parameter, "grad_sample", "_forward_counter", "_current_grad_sample", "ddp_hooks")
        for parameter in self._model.parameters():
            _forget(parameter, "grad_sample", "_forward_counter", "_current_grad_sample")
        super().__exit__(kind, error, trace)

    def ready_for_check(self) -> None:
        for module in self._modules.values():
            module.training = True  # Opacus ignores layers in evaluation mode; for these the flag changes nothing else

    def run_backward(self, loss: Tensor, *, again: bool = False) -> None:
        """Run a whole backward pass, in which alone Opacus' hooks fire; the gradients are put aside meanwhile."""
        parameters = list(self._model.parameters())
        before = [parameter.grad for parameter in parameters]
        for parameter in parameters:
            # loss.backward() would add to the gradient that is there, in place.
            parameter.grad = None
        try:
            loss.backward(retain_graph=again)  # type: ignore[no-untyped-call]
        finally:
            for parameter, gradient in zip(parameters, before, strict=True):
                parameter.grad = gradient

    def explain(self, error: Exception) -> LayerError | None:
        if "BackwardHookFunction" not in str(error):
            return None
        return LayerError(
            expected="no operation in place on the output of a layer that Opacus hooks",
            found=str(error).partition(".")[0],
            todo="Set inplace=False, or leave engine='auto'.",
        )

    @property
    def modules(self) -> list[nn.Module]:
        """The layers that Opacus measures."""
        return list(self._modules.values())

    def consume(self, module: nn.Module) -> None:
        """Take the per-sample gradients of a layer as soon as Opacus has formed them, and drop them."""
        if self._pass is None or not self.listening.watches:
            return
        samples = self._pass.samples
        names = {own: name for name, own in self.plan.parameters_of(self._names[module]).items()}
        for own, parameter in own_parameters(module).items():
            gradient = getattr(parameter, "grad_sample", None)
            if gradient is None or own not in names:
                continue
            parameter.grad_sample = None  # type: ignore[attr-defined]
            self._pass.add(names[own], reduce_gradient(self._per_sample(gradient, samples, module), parameter))

    def _per_sample(self, gradient: Tensor | list[Tensor], samples: int, module: nn.Module) -> Tensor:
        """Return the gradients ``[sample, *shape]``; rows of folded batches are summed."""
        if isinstance(gradient, list) or len(gradient) % samples:
            raise self._stale(module)
        rows = full_precision(gradient.detach())
        return rows.view(samples, -1, *rows.shape[1:]).sum(dim=1)

    def _stale(self, module: nn.Module) -> LayerError:
        return LayerError(
            expected=f"one forward and one backward pass of {self._names[module]!r} between two steps",
            found="others, which Opacus cannot tell apart: a forward pass without backward, activation checkpointing, "
            "or an input without the samples along its first dimension",
            todo="Leave engine='auto', which measures this layer by itself.",
        )

    def take(self) -> dict[str, Part]:
        try:
            if self._pass is not None and self._pass.samples:
                for module in self._modules.values():
                    if getattr(module, "activations", None):
                        raise self._stale(module)
            return super().take()
        finally:
            for module in self._modules.values():
                _clear(module)


def _clear(module: nn.Module) -> None:
    """Drop the remains of a forward pass without a backward pass."""
    _forget(module, "activations", "max_batch_len")
    for parameter in module.parameters(recurse=False):
        _forget(parameter, "_current_grad_sample")
        if hasattr(parameter, "_forward_counter"):
            parameter._forward_counter = 0
            parameter.grad_sample = None  # type: ignore[attr-defined]


def _forget(thing: object, *names: str) -> None:
    for name in names:
        if name in vars(thing):
            delattr(thing, name)


def _hooks_class(base: Any) -> Any:
    """Make a class of Opacus' hooks on chosen layers only, whose gradients are handed on layer by layer."""

    class LayerByLayer(base):  # type: ignore[misc]
        def __init__(self, model: nn.Module, capture: OpacusCapture) -> None:
            self._capture = capture
            super().__init__(model, loss_reduction="sum", strict=False)

        def iterate_submodules(self, module: nn.Module) -> Iterable[nn.Module]:
            return iter(self._capture.modules)

        def capture_activations_hook(self, *args: object, **kwargs: object) -> None:
            if self._capture.listening.watches:
                super().capture_activations_hook(*args, **kwargs)

        def capture_backprops_hook(self, module: nn.Module, *args: object, **kwargs: object) -> None:
            capture = self._capture
            if capture.listening.hears and getattr(module, "activations", None):
                super().capture_backprops_hook(module, *args, **kwargs)
                capture.consume(module)

    return LayerByLayer
