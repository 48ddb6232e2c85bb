"""Recording of layers: the capture, its check on the first batch, and the buffer of the open epoch, as one lifetime."""

import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from types import TracebackType

import pyarrow as pa
import torch
from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.utils.hooks import RemovableHandle

from gwa_attrib.errors import StepOrderError
from gwa_attrib.functional.layer_alignment import sample_scales
from gwa_attrib.functional.targets import BatchLoss
from gwa_attrib.gradients import make_capture
from gwa_attrib.gradients.capture import Listening
from gwa_attrib.gradients.reading import read_groups
from gwa_attrib.gradients.self_check import Inputs, batch_size, check
from gwa_attrib.hooks.hook import Hook, untraced
from gwa_attrib.recording.buffer import LayerBuffer
from gwa_attrib.recording.head import HeadBatch, HeadCapture
from gwa_attrib.store.schema import WHOLE


class LayerRecording:
    """The recording of the layers beside the head; a context manager, to be entered before the head's capture."""

    def __init__(self, model: nn.Module, layers: str | Sequence[str], engine: str, head: HeadCapture) -> None:
        self._model = model
        self._capture = make_capture(model, layers, engine)
        self.groups = (WHOLE, *self._capture.plan.groups)
        self._buffer = LayerBuffer(self.groups)
        self._checked = False
        self._handle: RemovableHandle | None = None
        self.samples: Callable[[], int] = lambda: 0
        """Tells how many samples the coming batch has, if that is known; 0 if not."""
        self.totals_due: Callable[[], bool] = lambda: False
        """Tells whether the sums over the coming batch are to be checked."""
        self._head = head
        # A body that is kept in evaluation mode (to freeze its norms) is trained all the same.
        self._capture.trains = lambda: model.training or head.trains()
        head.on_backward = self._went_backward

    @property
    def how(self) -> dict[str, str]:
        """The rule that covers each layer."""
        return dict(self._capture.plan.how)

    def __enter__(self) -> "LayerRecording":
        self._capture.__enter__()
        before = untraced(lambda _, args, kwargs: self.before_forward(args, kwargs))
        # The first of the hooks: those of the user's own may change the arguments, and do so again in the check.
        self._handle = self._model.register_forward_pre_hook(Hook(before), prepend=True, with_kwargs=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._capture.__exit__(kind, error, trace)
        if self._handle is not None:
            self._handle.remove()
            self._handle = None

    def paused(self) -> AbstractContextManager[None]:
        """Take nothing that passes through the model inside the block for training."""
        return self._capture.while_listening(Listening.PAUSED)

    def before_forward(self, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        """Check the layers on the first batch that is trained on."""
        if self._checked or self._head.is_paused or not (self._capture.trains() and torch.is_grad_enabled()):
            return
        samples = batch_size(args, kwargs, self.samples())
        with self._head.paused():
            check(self._model, self._capture, Inputs(args, kwargs, samples))
        self._checked = samples > 1  # a batch of one proves nothing

    def _went_backward(self, samples: int, node: Node) -> None:
        self._capture.begin(samples, node, totals=self.totals_due())

    def record(self, batch: HeadBatch, loss: BatchLoss, sample_ids: Tensor, step: int) -> None:
        """Take in the layers of the batch that went backward."""
        parts = self._capture.take()
        if not self._checked and len(sample_ids) > 1:
            warnings.warn(
                "The layers could not be checked against single samples, because the model that was given to "
                "gwa.record() is not called itself. Run `gwa-attrib doctor` on it once.",
                stacklevel=4,
            )
            self._checked = True
        if batch.logits_grad is None:
            raise StepOrderError(
                expected="recorder.step() after loss.backward()", found="no backward pass", todo="Call it first."
            )
        scale = sample_scales(loss.residual, batch.logits_grad)
        observed = read_groups(self._capture.plan, parts, scale)
        self._buffer.append(observed, sample_ids, step)

    def drop(self) -> None:
        """Forget the batch that went backward: it was refused."""
        self._capture.drop()

    def table(self, epoch: int) -> pa.Table:
        """Return what was observed in the open epoch."""
        return self._buffer.table(epoch)

    def close_epoch(self) -> None:
        self._buffer = LayerBuffer(self.groups)
