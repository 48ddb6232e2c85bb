"""The recorder: listens while a classifier trains, and writes what it sees of every sample to a run on disk.

with gwa.record(model, "runs/a", num_samples=len(train_set)) as recorder:
    for epoch in range(epochs):
        for x, y in recorder.batches(loader):
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            recorder.step(y)                       # after backward, before optimizer.step()
            optimizer.step(); optimizer.zero_grad()
        recorder.end_epoch()
"""

import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from gwa_attrib.capture.arguments import (
    check_head_engine,
    check_loss,
    check_single_process,
    checked_facts,
    checked_ids,
    checked_metrics,
    checked_signals,
)
from gwa_attrib.capture.buffer import EpochBuffer
from gwa_attrib.capture.checks import due, measure, verify
from gwa_attrib.capture.head import HeadBatch, HeadCapture
from gwa_attrib.capture.layer_recording import LayerRecording
from gwa_attrib.capture.learning_rate import learning_rate
from gwa_attrib.capture.loader import Batches
from gwa_attrib.capture.samples import SampleBook
from gwa_attrib.errors import InputError, StepOrderError
from gwa_attrib.functional.central_moments import moments
from gwa_attrib.functional.observation import observe
from gwa_attrib.store.new_run import new_info
from gwa_attrib.store.schema import TOP, PartName
from gwa_attrib.store.summaries import EpochSummary, epoch_facts, merge, summary_row
from gwa_attrib.store.writer import RunWriter


class Recorder:
    """A training run that is being recorded. Made by `gwa_attrib.record`; use it as a context manager."""

    def __init__(
        self,
        writer: RunWriter,
        capture: HeadCapture,
        samples: SampleBook,
        layers: LayerRecording | None,
        *,
        signals: tuple[str, ...],
        optimizer: torch.optim.Optimizer | None,
        label_smoothing: float,
        class_weight: Tensor | None,
    ) -> None:
        self._writer, self._capture, self._samples, self._layers = writer, capture, samples, layers
        self._signals, self._optimizer = signals, optimizer
        self._loss: dict[str, Any] = {"label_smoothing": label_smoothing, "class_weight": class_weight}
        self._buffer = EpochBuffer()
        self._measured: list[Tensor] = []
        self._loaders: dict[int, tuple[DataLoader[Any], Batches]] = {}
        self._ids: Tensor | None = None
        self._step = self._epoch = self._epoch_step = 0
        self._epoch_began = time.perf_counter()
        if layers is not None:
            layers.samples = lambda: 0 if self._ids is None else len(self._ids)
            layers.totals_due = lambda: due(self._epoch_step, first_epoch=self._epoch == 0)

    @property
    def path(self) -> Path:
        """Folder of the run."""
        return self._writer.path

    @property
    def head(self) -> str | None:
        """Name of the head in the model; None until the first step if it was to be found."""
        return self._capture.name

    @property
    def layers(self) -> dict[str, str]:
        """The recorded layers beside the head, and the rule that covers each; empty with ``layers="head"``."""
        return self._layers.how if self._layers is not None else {}

    def __enter__(self) -> "Recorder":
        if self._layers is not None:
            self._layers.__enter__()
        self._capture.__enter__()
        self._epoch_began = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._capture.__exit__(kind, error, trace)
        if self._layers is not None:
            self._layers.__exit__(kind, error, trace)
        self._writer.update_info({"status": "complete" if kind is None else "interrupted"})
        if kind is None and len(self._buffer):
            warnings.warn(
                f"Expected recorder.end_epoch() after the last epoch. Found {len(self._buffer)} observations of an "
                "open epoch, which are not in the run. Call end_epoch() before the `with` block ends.",
                stacklevel=2,
            )

    def batches(self, loader: DataLoader[Any]) -> Batches:
        """The batches of `loader`, unchanged; the ids of their samples travel with them to the next `step`.

        Ids are positions in the data set at the bottom of any `Subset`s.

        Raises:
            InputError: the loader has no positions (IterableDataset, batch_size=None): pass ids to `step` instead.
            SampleIdError: the loader reads more samples than `num_samples`.
        """
        if id(loader) not in self._loaders:
            batches = Batches(loader, self._announce)
            self._samples.announce(batches.sample_ids, batches.base_size)
            self._loaders[id(loader)] = (loader, batches)
        return self._loaders[id(loader)][1]

    def _announce(self, ids: Tensor) -> None:
        self._ids = ids

    def step(self, targets: Tensor, sample_ids: Tensor | Sequence[int] | None = None) -> None:
        """Record the batch that just went forward and backward. Call it before ``optimizer.step()``.

        Args:
            targets: The targets of the loss: class indices ``[sample]`` or distributions ``[sample, class]``.
            sample_ids: int64 ``[sample]``; not needed inside ``recorder.batches(loader)``.

        Raises:
            StepOrderError: no backward pass since the last step, several, or the optimizer has already stepped.
            HeadError, LossMismatchError: on the first batch, where the closed form does not apply.
            InputError: targets, ids and logits that are not of one batch.
        """
        try:
            self._take_step(targets, sample_ids)
        finally:
            if self._layers is not None:
                self._layers.drop()

    def _take_step(self, targets: Tensor, sample_ids: Tensor | Sequence[int] | None) -> None:
        batch = self._capture.take()
        ids, self._ids = self._ids if sample_ids is None else torch.as_tensor(sample_ids), None
        targets = targets.detach()
        ids = checked_ids(batch.logits, targets, ids)
        with torch.no_grad():
            if self._step == 0:
                self._meet_head(batch)
            self._check(batch, targets)
            observation = observe(
                batch.features, batch.logits, targets, batch.weight, batch.bias, top=TOP, **self._loss
            )
            if self._layers is not None:
                self._layers.record(batch, targets, ids, self._step, **self._loss)
        self._buffer.append(observation, ids, self._step, learning_rate(self._optimizer, batch.head.weight))
        self._step += 1
        self._epoch_step += 1

    def _check(self, batch: HeadBatch, targets: Tensor) -> None:
        """Measure now and then; judge the first batch at once, the others when the epoch ends."""
        if due(self._epoch_step, first_epoch=self._epoch == 0):
            measured = measure(batch, targets, **self._loss)
            self._measured += [] if measured is None else [measured]
        if self._step == 0:
            verify(self._measured, self.head)

    def _meet_head(self, batch: HeadBatch) -> None:
        classes = batch.logits.shape[1]
        names = self._writer.info["class_names"] or [str(c) for c in range(classes)]
        if len(names) != classes:
            raise InputError(
                expected=f"one class name per output of the head {batch.name!r}: {classes}",
                found=f"{len(names)}",
                todo="Pass class_names with one name per class, or name the right head with head=....",
            )
        check_loss(**self._loss, classes=classes)
        self._samples.num_classes = classes
        self._writer.update_info({"head": batch.name, "class_names": names})

    def end_epoch(self, **metrics: Any) -> EpochSummary:
        """Write the epoch to disk and summarise it. `metrics` (such as ``val_accuracy=0.9``) are stored beside it.

        Raises:
            StepOrderError: nothing was recorded since the last epoch.
            HeadError, LossMismatchError: a batch showed that the closed form does not apply; the epoch is not written.
            InputError: a metric has the name of a field of the summary, or a target is no class.
            SampleIdError: an id that does not exist, or a sample whose label changed; the epoch is not written.
            RunError: the disk is full; earlier epochs stay readable, and the call can be repeated.
        """
        if not len(self._buffer):
            raise StepOrderError(
                expected="at least one recorder.step() in the epoch",
                found="none",
                todo="Call recorder.step(targets) after each loss.backward().",
            )
        measured = checked_metrics(metrics, EpochSummary.__dataclass_fields__)
        verify(self._measured, self.head)
        table = self._buffer.table(self._epoch, self._signals)
        self._samples.learn_labels(table)
        changed = self._samples.changed_predictions(table)
        alignment, seconds = self._buffer.alignment(), time.perf_counter() - self._epoch_began
        facts = epoch_facts(alignment, table["sample_id"].to_numpy(), self._samples.num_samples, changed, seconds)
        row = summary_row(self._epoch, 0, moments(alignment), facts, measured)
        part = PartName(self._epoch)
        self._writer.write_samples(self._samples.frame())
        if self._layers is not None:
            self._writer.write_layers(part, self._layers.table(self._epoch))
        self._writer.write_observations(part, table)
        self._writer.write_epoch(part, row)
        self._samples.remember_predictions(table)
        if self._layers is not None:
            self._layers.close_epoch()
        self._buffer, self._measured = EpochBuffer(), []
        self._epoch, self._epoch_step = self._epoch + 1, 0
        self._epoch_began = time.perf_counter()
        return EpochSummary(**{k: v for k, v in merge([row]).items() if k in EpochSummary.__dataclass_fields__})


def record(
    model: nn.Module,
    path: str | Path,
    *,
    num_samples: int,
    class_names: Sequence[str] | None = None,
    head: str | nn.Module | None = None,
    layers: str | Sequence[str] = "head",
    engine: str = "auto",
    optimizer: torch.optim.Optimizer | None = None,
    label_smoothing: float = 0.0,
    class_weight: Tensor | None = None,
    signals: Sequence[str] | None = None,
    keys: Sequence[str] | None = None,
    columns: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Recorder:
    """Record the training of `model` into the folder `path`.

    Args:
        model: A classifier with a linear head, trained with cross-entropy on the head's output.
        path: Folder of the run: new or empty.
        num_samples: ``len(train_set)``.
        class_names: One per class; their numbers if None.
        head: Name of the final ``nn.Linear``, or the module. None takes the linear layer that runs last.
        layers: "head" records the head's kernel alone. "all" records every trainable parameter too, as a whole and by
            block; a list of names (of modules or parameters) those. Weight gradients of convolutions are then summed
            from per-sample ones: equal up to rounding. Before the first batch the model is called a few times on slices
            of it, in evaluation mode, to check the layers; hooks of your own fire then too.
        engine: How: "auto" and "ghost" by our own rules, "opacus" by Opacus where it is right and by our rules
            elsewhere; "closed_form" goes with the head alone.
        optimizer: If given, its learning rate is stored with every observation.
        label_smoothing: As given to the loss.
        class_weight: As given to the loss, ``[class]``. Left out, the alignment is the same (the direction of a
            gradient does not depend on it), but `loss`, `dot` and `grad_norm` are those of the unweighted loss.
        signals: Which signals to store; None for all: alignment, loss, margin, p_label, el2n, grad_norm, dot,
            top_class, top_prob. The alignment is always stored.
        keys: A name per sample (a file name, say), shown in tables and reports; in the order of the training set.
        columns: Further facts per sample, stored beside the labels; in the same order.
        config: Anything JSON-like about the training, stored in run.json.
        overwrite: Replace a run that is there. A folder that is not a run is never touched.

    Raises:
        RunExistsError: the folder is taken.
        HeadError: the model has no linear layer, or none of that name.
        LayerError: a layer that cannot be measured as it is set up.
        InputError: wrong lengths, unknown signals or layers, or a training on several processes.
    """
    check_single_process()
    chosen = checked_signals(signals)
    if layers == "head":
        check_head_engine(engine)
    check_loss(label_smoothing, class_weight)
    facts = checked_facts(num_samples, keys, columns or {})
    capture = HeadCapture(model, head)
    recording = None if layers == "head" else LayerRecording(model, layers, engine, capture)
    info = new_info(
        class_names=class_names,
        signals=chosen,
        num_samples=num_samples,
        config=config or {},
        layers=recording.groups if recording else (),
    )
    return Recorder(
        RunWriter.create(path, info, overwrite=overwrite),
        capture,
        SampleBook(num_samples, len(class_names) if class_names else None, facts),
        recording,
        signals=chosen,
        optimizer=optimizer,
        label_smoothing=label_smoothing,
        class_weight=class_weight,
    )
