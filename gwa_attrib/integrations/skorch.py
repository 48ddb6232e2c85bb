"""Recording a training by skorch.

recording = GWACallback("runs/a", num_samples=len(X))
net = NeuralNetClassifier(Module, callbacks=[recording, GWAEarlyStopping(recording, patience=5)])
net.fit(X, y)
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from torch import nn
from torch.optim import Optimizer

from gwa_attrib.errors import InputError, MissingDependencyError
from gwa_attrib.hooks.forward import Targets, targets_of
from gwa_attrib.integrations.listener import Listener, logged
from gwa_attrib.integrations.stopping_callback import Stopper, check_order
from gwa_attrib.recording.begin import record
from gwa_attrib.recording.recorder import Recorder

if TYPE_CHECKING:

    class Callback:
        """The base class of skorch's callbacks."""
else:
    try:
        from skorch.callbacks import Callback
    except ModuleNotFoundError as missing:
        raise MissingDependencyError(
            expected="skorch, to record its trainings",
            found="no package skorch",
            todo="Run: pip install 'gwa-attrib[skorch]'.",
        ) from missing


class _History(Protocol):
    def __getitem__(self, epoch: int) -> Mapping[str, object]: ...

    def record(self, name: str, value: float) -> None: ...


class _Net(Protocol):
    """The part of a `skorch.NeuralNet` that is used here."""

    module_: nn.Module
    optimizer_: Optimizer
    device: str
    history: _History
    callbacks_: list[tuple[str, Callback]]
    get_iterator: Callable[..., Any]
    """Gives a loader, or what behaves as one."""


class GWACallback(Callback):
    """Records a `NeuralNetClassifier` whose module ends in a linear layer, or in one and a softmax (its NLLLoss).

    After each epoch `gwa`, `mean_alignment`, `fraction_negative` and `coverage` are in ``net.history``, which skorch
    prints and its loggers read; what begins with ``valid_`` there is stored as a metric. With a ``train_split`` the ids
    are those of all samples, and the held-out ones are never seen. The training is not changed.

    Args:
        path: Folder of the run: new or empty.
        num_samples: ``len(X)``.
        targets: Gives the targets of a batch; None for batches ``(X, y)``.
        options: As of `gwa_attrib.record`. A probe calls ``module(inputs)``, or ``probe_forward``.

    Raises (in fit):
        InputError, RunExistsError, HeadError and others: see `gwa_attrib.record` and `Recorder.step`.
    """

    def __init__(self, path: str | Path, *, num_samples: int, targets: Targets | None = None, **options: Any) -> None:
        self.path, self.num_samples, self.targets = path, num_samples, targets
        self.options = options
        self.listener_: Listener | None = None

    @property
    def recorder(self) -> Recorder:
        """The recorder of the training that has begun.

        Raises:
            InputError: none has.
        """
        return self._listening().recorder

    def on_train_begin(self, net: _Net, X: object = None, y: object = None, **kwargs: object) -> None:
        self._close(net)  # of a fit that an error ended
        options = {"optimizer": net.optimizer_, "num_samples": self.num_samples, **self.options}
        self.listener_ = Listener(record(net.module_, self.path, **options).__enter__())
        _tap_training_iterator(net, self.listener_)

    def on_batch_begin(self, net: _Net, batch: object = None, training: bool = False, **kwargs: object) -> None:
        if training:
            self._listening().begin_batch()

    def on_grad_computed(
        self, net: _Net, named_parameters: object, batch: object = None, training: bool = False, **kwargs: object
    ) -> None:
        if training:
            self._listening().step((self.targets or targets_of)(batch).to(net.device))

    def on_epoch_end(
        self, net: _Net, dataset_train: object = None, dataset_valid: object = None, **kwargs: object
    ) -> None:
        row = net.history[-1]
        metrics = {
            name: value for name, value in row.items() if name.startswith("valid_") and isinstance(value, int | float)
        }
        summary = self._listening().end_epoch(metrics)
        if summary is not None:
            for name, value in logged(summary).items():
                net.history.record(name, value)

    def on_train_end(self, net: _Net, X: object = None, y: object = None, **kwargs: object) -> None:
        self._close(net)

    def _close(self, net: _Net) -> None:
        vars(net).pop("get_iterator", None)
        if self.listener_ is not None:
            self.listener_.close()

    def _listening(self) -> Listener:
        if self.listener_ is None:
            raise InputError(expected="a training that has begun", found="none", todo="Call net.fit first.")
        return self.listener_


class GWAEarlyStopping(Callback):
    """Ends the training by a rule that needs no validation set, and puts the weights of the best epoch back.

    Args:
        recording: The callback that records; it comes before this one in ``callbacks=[...]``.
        options: As of `gwa_attrib.EarlyStopping`: rule, mode, patience, epochs, metric.
    """

    def __init__(self, recording: GWACallback, **options: Any) -> None:
        self.recording, self.options = recording, options
        self.stopper_ = Stopper(options)

    @property
    def best_epoch(self) -> int:
        """Number of the epoch whose weights are kept."""
        return self.stopper_.best_epoch

    def on_train_begin(self, net: _Net, X: object = None, y: object = None, **kwargs: object) -> None:
        check_order([callback for _, callback in net.callbacks_], self.recording, self)
        self.stopper_.begin(self.recording.recorder)

    def on_epoch_end(
        self, net: _Net, dataset_train: object = None, dataset_valid: object = None, **kwargs: object
    ) -> None:
        if self.stopper_.update():
            raise KeyboardInterrupt  # skorch's own way to end a fit early

    def on_train_end(self, net: _Net, X: object = None, y: object = None, **kwargs: object) -> None:
        self.stopper_.restore()


def _tap_training_iterator(net: _Net, listener: Listener) -> None:
    """Tap the loaders that skorch makes for training, until the training ends."""
    make = net.get_iterator

    def tapped(dataset: object, training: bool = False) -> Any:
        iterator = make(dataset, training=training)
        return listener.tap(iterator) if training else iterator

    net.get_iterator = tapped
