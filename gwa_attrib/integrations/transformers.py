"""Recording a training by the Hugging Face Trainer.

trainer = Trainer(model, TrainingArguments(..., remove_unused_columns=False), train_dataset=with_sample_ids(dataset))
with record_trainer(trainer, "runs/a") as recorder:
    trainer.add_callback(GWAEarlyStopping(recorder, mode="finetune", patience=3))
    trainer.train()
"""

import re
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader, Dataset

from gwa_attrib.datasets.content import class_names_of
from gwa_attrib.errors import InputError, MissingDependencyError
from gwa_attrib.files.places import place
from gwa_attrib.hooks.forward import forward_batch
from gwa_attrib.integrations.listener import logged
from gwa_attrib.integrations.stopping_callback import Stopper
from gwa_attrib.recording.begin import record
from gwa_attrib.recording.recorder import Recorder
from gwa_attrib.store.kept import keep_tokenizer
from gwa_attrib.store.schema import RUN_FILE

if TYPE_CHECKING:

    class TrainerCallback:
        """The base class of the Trainer's callbacks."""
else:
    try:
        from transformers import TrainerCallback
    except ModuleNotFoundError as missing:
        raise MissingDependencyError(
            expected="transformers, to record its trainings",
            found="no package transformers",
            todo="Run: pip install 'gwa-attrib[hf]'.",
        ) from missing

R = TypeVar("R")


class _Arguments(Protocol):
    train_batch_size: int
    remove_unused_columns: bool
    n_gpu: int


class _Smoother(Protocol):
    epsilon: float


class _Trainer(Protocol):
    """The part of a `transformers.Trainer` that is used here."""

    args: _Arguments
    model: nn.Module
    model_init: object
    train_dataset: Any
    data_collator: Callable[[list[Any]], object]
    label_smoother: _Smoother | None

    def add_callback(self, callback: TrainerCallback) -> None: ...

    def remove_callback(self, callback: TrainerCallback) -> None: ...

    def log(self, logs: dict[str, float]) -> None: ...

    def is_world_process_zero(self) -> bool: ...


class _State(Protocol):
    epoch: float | None


class _Control(Protocol):
    should_training_stop: bool


SAMPLE_ID = "sample_id"
"""Column of the training set with each sample's position in it."""
_GENERIC = re.compile(r"LABEL_\d+")


@contextmanager
def record_trainer(trainer: _Trainer, path: str | Path, *, resume: bool = False, **options: Any) -> Iterator[Recorder]:
    """Record what `trainer` trains inside the block: a sequence classifier, or another model with "labels" and a head.

    After each epoch `gwa`, `mean_alignment`, `fraction_negative` and `coverage` go to ``trainer.log``, and with that to
    what the trainer reports to. The label smoothing of the trainer is known. With gradient accumulation each batch is
    recorded; with ``torch_compile=True`` recording has to begin before the first training. The training is not changed.

    The classes have the names of the training set's ``ClassLabel``, or those in the model's config. A fast tokenizer is
    kept with the run, so that ``gwa.report(run, data=dataset)`` shows texts.

    Args:
        trainer: With ``TrainingArguments(remove_unused_columns=False)`` and ``train_dataset=with_sample_ids(dataset)``:
            the ids of the samples ride inside the batches, which the trainer reads ahead.
        path: Folder of the run: new or empty.
        resume: Go on with the run that is there, at the epoch of ``trainer.train(resume_from_checkpoint=...)``.
        options: As of `gwa_attrib.record`.

    Raises:
        InputError: a trainer that is set up otherwise, or that cannot be recorded.
        RunExistsError, HeadError, LossMismatchError and others: see `gwa_attrib.record` and `Recorder.step`.
    """
    _check_trainer(trainer, SAMPLE_ID)
    smoothing = 0.0 if trainer.label_smoother is None else trainer.label_smoother.epsilon
    goes_on = resume and (place(path) / RUN_FILE).is_file()  # with the names that the run has
    names = None if goes_on else _class_names_for(trainer)
    settings = {"label_smoothing": smoothing, "probe_forward": _forward, "class_names": names, **options}
    recorder = record(trainer.model, path, num_samples=len(trainer.train_dataset), resume=resume, **settings)
    tokenizer = _tokenizer_json(trainer)
    if tokenizer is not None and trainer.is_world_process_zero():
        keep_tokenizer(recorder.path, tokenizer)
    # Only to announce the ids, and to give the probe a loader: the trainer makes its own.
    recorder.batches(DataLoader(trainer.train_dataset, trainer.args.train_batch_size, collate_fn=trainer.data_collator))
    callback = _Epochs(trainer, recorder, resume)
    trainer.add_callback(callback)
    try:
        with (
            _replaced(trainer, "training_step", _recorded_step(recorder)),
            _replaced(trainer, "prediction_step", _without_ids),
            recorder,
        ):
            yield recorder
    finally:
        trainer.remove_callback(callback)


class _Epochs(TrainerCallback):
    """A callback that ends the recorder's epochs with those of the trainer."""

    def __init__(self, trainer: _Trainer, recorder: Recorder, resume: bool) -> None:
        self._trainer, self._recorder, self._resume = trainer, recorder, resume

    def on_train_begin(
        self, args: object, state: _State, control: object, optimizer: Optimizer | None = None, **kwargs: object
    ) -> None:
        """Begin at the trainer's epoch; also where it begins again with smaller batches: the open epoch is given up."""
        self._recorder.optimizer = optimizer
        self._recorder.rewind(int(state.epoch or 0) if self._resume else len(self._recorder.epochs()))

    def on_epoch_end(self, args: object, state: object, control: object, **kwargs: object) -> None:
        self._trainer.log(logged(self._recorder.end_epoch()))


class GWAEarlyStopping(TrainerCallback):
    """Ends the training by a rule that needs no validation set, and puts the weights of the best epoch back.

    To be added inside the block of `record_trainer`. A training that goes on from a checkpoint keeps the weights of the
    epochs from there on.

    Args:
        recorder: Of the training.
        options: As of `gwa_attrib.EarlyStopping`: rule, mode, patience, epochs. Metrics of an evaluation come after the
            epoch has ended: for the rule "validation" use the trainer's own ``load_best_model_at_end``.
    """

    def __init__(self, recorder: Recorder, **options: Any) -> None:
        self._recorder, self._stopper = recorder, Stopper(options)

    @property
    def best_epoch(self) -> int:
        """Number of the epoch whose weights are kept."""
        return self._stopper.best_epoch

    def on_train_begin(self, args: object, state: object, control: object, **kwargs: object) -> None:
        self._stopper.begin(self._recorder)

    def on_epoch_end(self, args: object, state: object, control: _Control, **kwargs: object) -> None:
        if self._stopper.update():
            control.should_training_stop = True

    def on_train_end(self, args: object, state: object, control: object, **kwargs: object) -> None:
        self._stopper.restore()


def _check_trainer(trainer: _Trainer, column: str) -> None:
    """Raise InputError where ids would not reach the batches, or the model is not the one that trains."""
    args, dataset = trainer.args, trainer.train_dataset
    if args.remove_unused_columns:
        raise InputError(
            expected=f"the column {column!r} to reach the batches",
            found="TrainingArguments(remove_unused_columns=True), which drops it",
            todo="Pass TrainingArguments(remove_unused_columns=False), and leave columns that the model does not take "
            "out of the data set.",
        )
    if dataset is None or not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise InputError(
            expected="a training set with positions",
            found=type(dataset).__name__,
            todo="Pass a data set with a length.",
        )
    if trainer.model_init is not None:
        raise InputError(
            expected="Trainer(model=...)", found="model_init, which makes another model later", todo="Pass the model."
        )
    if args.n_gpu > 1:
        raise InputError(
            expected="a training on one device",
            found=f"{args.n_gpu} devices in one process",
            todo="Set CUDA_VISIBLE_DEVICES to one of them.",
        )
    _check_column(dataset, column)


def _check_column(dataset: Any, column: str) -> None:
    names = getattr(dataset, "column_names", None)
    if names is None:
        return
    if column not in names:
        raise InputError(
            expected=f"a column {column!r} with each sample's position",
            found=f"columns {', '.join(names)}",
            todo="Pass train_dataset=with_sample_ids(dataset).",
        )
    if not np.array_equal(dataset.data.column(column).to_numpy(), np.arange(len(dataset))) or dataset._indices:
        raise InputError(
            expected=f"{column!r} to count the samples from 0",
            found="other numbers, or rows that were selected or shuffled since",
            todo="Call with_sample_ids(dataset) last.",
        )


def _ids_of(inputs: Mapping[str, Tensor], column: str) -> Tensor:
    """Return the ids of a batch.

    Raises:
        InputError: there are none, or no labels.
    """
    if column not in inputs or "labels" not in inputs:
        raise InputError(
            expected=f"batches with {column!r} and 'labels'",
            found=", ".join(map(str, inputs)),
            todo="Pass train_dataset=with_sample_ids(dataset); a data_collator of your own has to keep that column.",
        )
    ids: Tensor = inputs[column]
    return ids


def _class_names_for(trainer: _Trainer) -> list[str] | None:
    """Return the names of the ``ClassLabel`` of the training set, or else those that the model was given.

    None if it has the generic ones alone, or if there is not one for each class.
    """
    config = getattr(trainer.model, "config", None)
    size = getattr(config, "num_labels", None)
    for names in (class_names_of(trainer.train_dataset), _given(getattr(config, "id2label", None))):
        if names and size in (None, len(names)) and len(set(names)) == len(names):
            return names
    return None


def _given(id2label: object) -> list[str] | None:
    if not isinstance(id2label, dict):
        return None
    numbered = {int(number): str(name) for number, name in id2label.items()}
    if sorted(numbered) != list(range(len(numbered))) or all(_GENERIC.fullmatch(name) for name in numbered.values()):
        return None
    return [numbered[number] for number in range(len(numbered))]


def _tokenizer_json(trainer: _Trainer) -> str | None:
    """Return the trainer's tokenizer as JSON; None if it has none, or a slow one, which is Python code.

    It is the processing class, the tokenizer of a processor, or the one that the collator pads with.
    """
    processing = getattr(trainer, "processing_class", None) or vars(trainer).get("tokenizer")
    places = (processing, getattr(processing, "tokenizer", None), getattr(trainer.data_collator, "tokenizer", None))
    for found in places:
        backend = getattr(found, "backend_tokenizer", None)
        if backend is not None:
            return str(backend.to_str())
    return None


def with_sample_ids(dataset: Any) -> Any:
    """Return the data set with a column ``sample_id``, each sample's position; after selecting and shuffling.

    Args:
        dataset: A `datasets.Dataset`, or a data set of torch whose items are dicts.
    """
    if hasattr(dataset, "add_column"):
        return dataset.add_column(SAMPLE_ID, list(range(len(dataset))))
    return _WithIds(dataset)


class _WithIds(Dataset[dict[str, object]]):
    """A data set whose items carry their position."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __getitem__(self, index: int) -> dict[str, object]:
        return {**self.dataset[index], SAMPLE_ID: int(index)}

    def __len__(self) -> int:
        return len(self.dataset)


def _recorded_step(recorder: Recorder) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    def around(training_step: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def step(model: nn.Module, inputs: MutableMapping[str, Tensor], *args: object, **kwargs: object) -> Tensor:
            ids = _ids_of(inputs, SAMPLE_ID)
            # Before the step: the trainer's label smoother takes them out of the inputs.
            labels = inputs["labels"]
            del inputs[SAMPLE_ID]
            loss = training_step(model, inputs, *args, **kwargs)
            recorder.step(labels.to(loss.device), sample_ids=ids)
            return loss

        return step

    return around


def _without_ids(prediction_step: Callable[..., R]) -> Callable[..., R]:
    def step(model: nn.Module, inputs: Mapping[str, object], *args: object, **kwargs: object) -> R:
        return prediction_step(model, _rest(inputs), *args, **kwargs)

    return step


def _rest(batch: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in batch.items() if name != SAMPLE_ID}


def _forward(model: nn.Module, batch: Mapping[str, object]) -> Tensor:
    return forward_batch(model, _rest(batch))


@contextmanager
def _replaced(thing: object, name: str, around: Callable[[Callable[..., R]], Callable[..., R]]) -> Iterator[None]:
    """Replace a method of one object inside the block."""
    own = vars(thing).get(name)
    setattr(thing, name, around(getattr(thing, name)))
    try:
        yield
    finally:
        delattr(thing, name)
        if own is not None:
            setattr(thing, name, own)
