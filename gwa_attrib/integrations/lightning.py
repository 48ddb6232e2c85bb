"""Recording a training by Lightning: `lightning.pytorch` and `pytorch_lightning`.

recording = GWACallback("runs/a", num_samples=len(train_set))
stopping = GWAEarlyStopping(recording, patience=5)
Trainer(callbacks=[recording, stopping]).fit(module, train_loader)
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypedDict

from torch import Tensor, nn
from torch.optim import Optimizer

from gwa_attrib.errors import InputError, MissingDependencyError
from gwa_attrib.files.places import place
from gwa_attrib.hooks.forward import Targets, targets_of
from gwa_attrib.integrations.listener import Listener, Tap, logged
from gwa_attrib.integrations.stopping_callback import Stopper, check_order
from gwa_attrib.recording.begin import record
from gwa_attrib.recording.recorder import Recorder
from gwa_attrib.stopping.early_stopping import KeptWeights
from gwa_attrib.store.run import open_run


def _callback() -> type:
    """Import Lightning's base class out of the package that is in use; hooks go by name, so that one serves both."""
    names = ["lightning.pytorch", "pytorch_lightning"]
    for name in sorted(names, key=lambda name: name not in sys.modules):
        try:
            return __import__(name, fromlist=["Callback"]).Callback  # type: ignore[no-any-return]
        except ModuleNotFoundError as error:
            if error.name not in ("lightning", name):
                raise
    raise MissingDependencyError(
        expected="Lightning, to record its trainings",
        found="no package lightning or pytorch_lightning",
        todo="Run: pip install 'gwa-attrib[lightning]'.",
    )


if TYPE_CHECKING:

    class Callback:
        """The base class of Lightning's callbacks."""

    class _Module(nn.Module):
        """The part of a LightningModule that is used here."""

        def log_dict(self, values: Mapping[str, float], *, on_step: bool, on_epoch: bool, sync_dist: bool) -> None: ...
else:
    Callback = _callback()


class _State(TypedDict, total=False):
    """The part of a checkpoint that is ours; nothing before the recording has begun."""

    run_id: str
    epochs: int


class _TrainerState(Protocol):
    fn: str | None


class _Strategy(Protocol):
    process_dataloader: Callable[[object], Any]
    """Gives a loader, or what behaves as one."""


class _Trainer(Protocol):
    """The part of Lightning's `Trainer` that is used here."""

    optimizers: list[Optimizer]
    callbacks: list[Callback]
    callback_metrics: Mapping[str, Tensor]
    train_dataloader: object
    strategy: _Strategy
    state: _TrainerState
    training: bool
    sanity_checking: bool
    is_last_batch: bool
    should_stop: bool
    world_size: int


class GWACallback(Callback):
    """Records the training of a LightningModule whose loss is the cross-entropy of the output of a linear head.

    After each epoch `gwa`, `mean_alignment`, `fraction_negative` and `coverage` are logged, and the scalars in
    ``trainer.callback_metrics`` are stored as metrics. A fit with ``ckpt_path`` goes on with the run at the epoch of
    the checkpoint. The training is not changed: same batches, same random numbers, same weights.

    Args:
        path: Folder of the run: new or empty, but for a fit that goes on from a checkpoint.
        num_samples: ``len(train_set)``.
        targets: Gives the targets of a batch; None for batches ``(inputs, targets)`` and dicts with "labels".
        options: As of `gwa_attrib.record`. A probe calls ``module(inputs)``, or ``probe_forward``.

    Raises (in fit):
        InputError: several training loaders, or one without positions.
        RunExistsError, HeadError and others: see `gwa_attrib.record` and `Recorder.step`.
    """

    def __init__(self, path: str | Path, *, num_samples: int, targets: Targets | None = None, **options: Any) -> None:
        self.path = place(path)
        self._options = {"num_samples": num_samples, **options}
        self._targets = targets or targets_of
        self._listener: Listener | None = None
        self._batch: object = None
        self._restored: _State | None = None
        self._log: dict[str, float] | None = None

    @property
    def recorder(self) -> Recorder:
        """The recorder of the training that has begun.

        Raises:
            InputError: none has.
        """
        return self._listening().recorder

    @property
    def state_key(self) -> str:
        """The key by the folder: a checkpoint is of one run."""
        return f"GWACallback[{self.path}]"

    def state_dict(self) -> _State:
        """Return the run's id, and how many of its epochs the checkpoint has seen."""
        if self._listener is None:
            return {}
        return {"run_id": _run_id(self.recorder), "epochs": len(self.recorder.epochs())}

    def load_state_dict(self, state_dict: _State) -> None:
        # A checkpoint from before the recording began holds nothing.
        self._restored = {**state_dict} or None

    def on_fit_start(self, trainer: _Trainer, pl_module: "_Module") -> None:
        options = {"optimizer": trainer.optimizers[0] if len(trainer.optimizers) == 1 else None, **self._options}
        state, self._restored = self._restored, None
        if state is None:
            recorder = record(pl_module, self.path, **options)
        else:
            # Whatever the first fit was told, the run of the checkpoint is gone on with.
            recorder = record(pl_module, self.path, **{**options, "overwrite": False, "resume": True})
            _check_same_run(recorder, state["run_id"])
            recorder.rewind(state["epochs"])
        self._listener = Listener(recorder.__enter__())
        _tap_training_loader(trainer, self._listener)

    def on_train_start(self, trainer: _Trainer, pl_module: "_Module") -> None:
        if not isinstance(trainer.train_dataloader, Tap):
            raise InputError(
                expected="one training loader",
                found=type(trainer.train_dataloader).__name__,
                todo="Join the data sets.",
            )

    def on_train_batch_start(self, trainer: _Trainer, pl_module: "_Module", batch: object, batch_idx: int) -> None:
        self._listening().begin_batch()
        # The hook after the backward pass is not told the batch.
        self._batch = batch

    def on_after_backward(self, trainer: _Trainer, pl_module: "_Module") -> None:
        self._listening().step(self._targets(self._batch))

    def on_validation_end(self, trainer: _Trainer, pl_module: "_Module") -> None:
        """End the epoch, if its last batch is done: a checkpoint made now has seen the whole epoch."""
        if not trainer.sanity_checking and trainer.state.fn == "fit" and trainer.is_last_batch:
            self._end_epoch(trainer)

    def on_train_epoch_end(self, trainer: _Trainer, pl_module: "_Module") -> None:
        self._end_epoch(trainer)
        if self._log is not None:
            pl_module.log_dict(self._log, on_step=False, on_epoch=True, sync_dist=trainer.world_size > 1)
        self._log = None

    def _end_epoch(self, trainer: _Trainer) -> None:
        summary = self._listening().end_epoch(trainer.callback_metrics)
        if summary is not None:
            self._log = logged(summary)

    def on_train_end(self, trainer: _Trainer, pl_module: "_Module") -> None:
        self._close(trainer)

    def on_exception(self, trainer: _Trainer, pl_module: "_Module", exception: BaseException) -> None:
        self._close(trainer, exception)

    def teardown(self, trainer: _Trainer, pl_module: "_Module", stage: str) -> None:
        self._close(trainer)

    def _close(self, trainer: _Trainer, error: BaseException | None = None) -> None:
        self._batch = None
        # The strategy's own method shows again.
        vars(trainer.strategy).pop("process_dataloader", None)
        if self._listener is not None:
            self._listener.close(error)

    def _listening(self) -> Listener:
        if self._listener is None:
            raise InputError(expected="a training that has begun", found="none", todo="Call trainer.fit first.")
        return self._listener


class GWAEarlyStopping(Callback):
    """Ends the training by a rule that needs no validation set, and puts the weights of the best epoch back.

    Args:
        recording: The callback that records; it comes before this one in ``Trainer(callbacks=[...])``.
        options: As of `gwa_attrib.EarlyStopping`: rule, mode, patience, epochs, metric.
    """

    def __init__(self, recording: GWACallback, **options: Any) -> None:
        self.recording = recording
        self._stopper = Stopper(options)

    @property
    def state_key(self) -> str:
        return f"GWAEarlyStopping[{self.recording.path}]"

    @property
    def best_epoch(self) -> int:
        """Number of the epoch whose weights are kept."""
        return self._stopper.best_epoch

    def state_dict(self) -> KeptWeights:
        return self._stopper.state_dict()

    def load_state_dict(self, state_dict: KeptWeights) -> None:
        self._stopper.load_state_dict(state_dict)

    def on_fit_start(self, trainer: _Trainer, pl_module: "_Module") -> None:
        check_order(trainer.callbacks, self.recording, self)
        self._stopper.begin(self.recording.recorder)

    def on_validation_end(self, trainer: _Trainer, pl_module: "_Module") -> None:
        self._update(trainer)

    def on_train_epoch_end(self, trainer: _Trainer, pl_module: "_Module") -> None:
        self._update(trainer)

    def _update(self, trainer: _Trainer) -> None:
        if trainer.state.fn == "fit" and self._stopper.update():
            trainer.should_stop = True

    def on_train_end(self, trainer: _Trainer, pl_module: "_Module") -> None:
        self._stopper.restore()


def _run_id(recorder: Recorder) -> str:
    return str(open_run(recorder.path).info["run_id"])


def _check_same_run(recorder: Recorder, run_id: str) -> None:
    if _run_id(recorder) != run_id:
        raise InputError(
            expected=f"the run that the checkpoint was recorded in, {run_id}",
            found=f"{_run_id(recorder)} in {recorder.path}",
            todo="Give the callback the folder of that run.",
        )


def _tap_training_loader(trainer: _Trainer, listener: Listener) -> None:
    """Tap the training loader in the strategy, which wraps each loader when Lightning has made its own changes."""
    strategy = trainer.strategy
    if "process_dataloader" in vars(strategy):
        raise InputError(
            expected="one GWACallback in a trainer",
            found="another",
            todo="Record one run; layers='all' records every layer.",
        )
    process = strategy.process_dataloader

    def tapped(loader: object) -> Any:
        processed = process(loader)
        return listener.tap(processed) if trainer.training else processed

    strategy.process_dataloader = tapped
