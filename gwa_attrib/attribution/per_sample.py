"""Per-sample gradients of the chosen parameters, through the capture of layers, checked on the first batch."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from gwa_attrib.attribution.data import Forward, Loss
from gwa_attrib.attribution.sample_gradients import Block, Outer, SampleGradients
from gwa_attrib.gradients import make_capture
from gwa_attrib.gradients.autograd.shared_weights import SharedUse, gradient_of_uses
from gwa_attrib.gradients.capture import Listening
from gwa_attrib.gradients.rules.linear import gradient as linear_gradient
from gwa_attrib.gradients.rules.rule import Gradients
from gwa_attrib.gradients.self_check import Inputs, check
from gwa_attrib.hooks.forward import calls_of


class PerSample:
    """The per-sample gradients of a model in evaluation mode.

    Args:
        batch: One batch, on which what is captured is compared with a loop over single samples.

    Raises:
        LayerError: a layer that cannot be measured, or is measured wrongly.
    """

    def __init__(
        self, model: nn.Module, layers: str | Sequence[str], loss: Loss, forward: Forward, batch: object
    ) -> None:
        self._model, self._loss, self._forward = model, loss, forward
        self.capture = make_capture(model, layers)
        self.parameters: Mapping[str, nn.Parameter] = self.capture.plan.parameters
        """The parameters by name, in the order of the flat vector."""
        self._check(batch)

    @property
    def size(self) -> int:
        """Length of the flat vector."""
        return sum(parameter.numel() for parameter in self.parameters.values())

    def _check(self, batch: object) -> None:
        """Check the capture over the arguments that `forward` passes to the model."""
        with torch.no_grad(), calls_of(self._model) as calls:
            outputs, _ = self._forward(self._model, batch)
        args, kwargs = calls[-1]
        with self.capture:
            check(self._model, self.capture, Inputs(args, kwargs, len(outputs)))

    @contextmanager
    def _backward(self, batch: object, loss: Loss | None, *, forms: bool) -> Iterator[int]:
        """Let a batch go backward, and give its size."""
        capture, listening = self.capture, Listening.GRADIENTS if forms else Listening.EVERY_PASS
        with capture, capture.while_listening(listening), torch.enable_grad():
            outputs, targets = self._forward(self._model, batch)
            total = (loss or self._loss)(outputs, targets)
            capture.begin(len(outputs), total.grad_fn)
            capture.run_backward(total)
            yield len(outputs)

    def gradients(self, batch: object, loss: Loss | None = None) -> SampleGradients:
        """Return the gradients of each sample's loss; `loss` instead of the task's, summed over samples."""
        uses, formed, samples = self.uses(batch, loss)
        blocks: dict[str, Block] = {}
        once: dict[int, Gradients] = {}
        for name, parameter in self.parameters.items():
            if name in uses:
                blocks[name] = _block(uses[name], samples, once)
            elif name in formed:
                blocks[name] = formed[name]
            else:
                blocks[name] = parameter.new_zeros(samples, *parameter.shape)
        return SampleGradients(blocks, samples)

    def uses(self, batch: object, loss: Loss | None = None) -> tuple[dict[str, list[SharedUse]], Gradients, int]:
        """Return input and output gradient of each use of a layer, by parameter; other gradients; number of samples."""
        with self._backward(batch, loss, forms=True) as samples:
            return *self.capture.take_uses(), samples

    def squared_norms(self, batch: object) -> Tensor:
        """Return ‖g_i‖² of the whole vector, ``[sample]``, with no gradient formed where there is a cheaper way."""
        with self._backward(batch, None, forms=False) as samples:
            parts = self.capture.take()
        zero = torch.zeros(samples, device=next(iter(self.parameters.values())).device)
        return sum((part.squared_norm for part in parts.values()), start=zero)


def _block(uses: Sequence[SharedUse], samples: int, once: dict[int, Gradients]) -> Block:
    """Return the block of one parameter; `once` keeps what a layer forms for several of its parameters."""
    if len(uses) > 1:
        return gradient_of_uses(uses, slice(0, samples))
    rule, module, name, operands = uses[0]
    if rule.gradient is linear_gradient:
        delta, x = operands.delta.flatten(1, -2), operands.x.flatten(1, -2)
        if name == "bias":
            return delta.sum(dim=1)
        if x.shape[1] == 1:
            return Outer(delta.squeeze(1), x.squeeze(1))
    if id(operands) not in once:
        once[id(operands)] = rule.gradient(module, operands)
    return once[id(operands)][name]
