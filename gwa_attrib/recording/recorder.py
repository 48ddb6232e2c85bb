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
from collections.abc import Iterator, Sequence
from types import TracebackType

import pandas as pd
import pyarrow as pa
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from gwa_attrib.errors import InputError
from gwa_attrib.files.places import Place
from gwa_attrib.functional.observation import observe_loss
from gwa_attrib.functional.targets import BatchLoss, CrossEntropy
from gwa_attrib.hooks.hook import explain_full_graph
from gwa_attrib.recording.arguments import check_loss, check_names, checked_ids, checked_metrics
from gwa_attrib.recording.batches import Batches
from gwa_attrib.recording.buffer import EpochBuffer
from gwa_attrib.recording.epoch_end import Look, ProbeRecording
from gwa_attrib.recording.head import HeadBatch, HeadCapture, learning_rate, optimizer_facts
from gwa_attrib.recording.head_checks import due, measure, verify
from gwa_attrib.recording.layer_recording import LayerRecording
from gwa_attrib.recording.processes import OBSERVED, Processes, in_order, own_samples, told
from gwa_attrib.recording.samples import SampleBook
from gwa_attrib.store.resumed import check_stored, give_up_from, whole_epochs
from gwa_attrib.store.run import Run, open_run
from gwa_attrib.store.run_files import parts, read_table
from gwa_attrib.store.schema import EPOCH_SCHEMA, EPOCHS, OBSERVATION_SCHEMA, OBSERVATIONS, PROBE, SIGNALS, TOP
from gwa_attrib.store.summaries import COLUMNS, EpochSummary, Row, epoch_frame, epoch_row, summary_of, sums_of
from gwa_attrib.store.writer import RunWriter


class Replay:
    """The tables of the epochs before `end`, one epoch in memory at a time; may be gone through again."""

    def __init__(self, run: Run, end: int) -> None:
        self._run_id = run.run_id
        self._files = {
            folder: {epoch: paths for epoch, paths in parts(run.path / folder).items() if epoch < end}
            for folder in (OBSERVATIONS, PROBE, EPOCHS)
        }

    def __iter__(self) -> Iterator[tuple[pa.Table, pa.Table | None]]:
        """Yield what was observed in each epoch, and what was looked at in evaluation mode, if anything was."""
        for epoch, paths in self._files[OBSERVATIONS].items():
            looked = self._files[PROBE].get(epoch)
            yield self._joined(paths, epoch), None if looked is None else self._joined(looked, epoch)

    def rows(self) -> dict[int, list[Row]]:
        """Return the summaries of the epochs, by their number."""
        files = self._files[EPOCHS]
        return {
            epoch: [
                row for path in paths for row in read_table(path, self._run_id, EPOCH_SCHEMA, epoch=epoch).to_pylist()
            ]
            for epoch, paths in files.items()
        }

    def steps(self) -> int:
        """Count the steps that the epochs took."""
        files = self._files[OBSERVATIONS]
        if not files:
            return 0
        last = self._joined(files[max(files)], max(files), ["step"])
        return 1 + int(last["step"].to_numpy().max())

    def _joined(self, paths: list[Place], epoch: int, columns: list[str] | None = None) -> pa.Table:
        read = [read_table(path, self._run_id, OBSERVATION_SCHEMA, columns=columns, epoch=epoch) for path in paths]
        return in_order(read)


class Recorder:
    """A training run that is being recorded. Made by `gwa_attrib.record`; use it as a context manager."""

    def __init__(
        self,
        writer: RunWriter,
        capture: HeadCapture,
        samples: SampleBook,
        layers: LayerRecording | None,
        probe: ProbeRecording,
        processes: Processes,
        *,
        model: nn.Module,
        signals: tuple[str, ...],
        optimizer: torch.optim.Optimizer | None,
        loss: CrossEntropy,
    ) -> None:
        self.model = model
        self._writer, self._capture, self._samples = writer, capture, samples
        self._layers, self._probe, self._processes = layers, probe, processes
        self._rows: dict[int, list[Row]] = {}
        self._signals = signals
        self.optimizer = optimizer
        """Its learning rate is stored with every observation; where it is made later, set it before the first step."""
        self._loss = loss
        self._buffer = EpochBuffer()
        self._measured: list[Tensor] = []
        self._loaders: dict[int, tuple[DataLoader[object], Batches]] = {}
        self._ids: Tensor | None = None
        self._step = self._epoch = self._epoch_step = 0
        self._met_head = False
        self._epoch_began = time.perf_counter()
        if layers is not None:
            layers.samples = lambda: 0 if self._ids is None else len(self._ids)
            layers.totals_due = lambda: due(self._epoch_step, first_epoch=self._epoch == 0)

    @property
    def path(self) -> Place:
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
            # Before the head: hooks that are put first run in the reverse order, and the head has to hear of its
            # gradient before its own layer does.
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
        explain_full_graph(error)

    def batches(self, loader: DataLoader[object]) -> Batches:
        """Yield the batches of `loader`, unchanged; the ids of their samples travel with them to the next `step`.

        Ids are positions in the data set at the bottom of any `Subset`s.

        Raises:
            InputError: the loader has no positions (IterableDataset, batch_size=None): pass ids to `step` instead.
            SampleIdError: the loader reads more samples than `num_samples`.
        """
        if id(loader) not in self._loaders:
            batches = Batches(loader, self._announce)
            self._samples.announce(batches.sample_ids, batches.base_size)
            # The loader is kept, too: another could get the id of one that is gone.
            self._loaders[id(loader)] = (loader, batches)
            self._probe.watch(loader)
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
        # Taken once: a batch from elsewhere must not get the ids of the one before.
        ids, self._ids = self._ids if sample_ids is None else torch.as_tensor(sample_ids), None
        targets = targets.detach()
        ids = checked_ids(batch.logits, targets, ids)
        with torch.no_grad():
            first = not self._met_head
            if first:
                self._meet_head(batch)
            loss = self._loss.of(batch.logits, targets)
            self._check(batch, loss, first)
            observation = observe_loss(loss, batch.features, batch.weight, batch.bias, top=TOP)
            if self._layers is not None:
                self._layers.record(batch, loss, ids, self._step)
        self._buffer.append(observation, ids, self._step, learning_rate(self.optimizer, batch.head.weight))
        self._step += 1
        self._epoch_step += 1

    def _check(self, batch: HeadBatch, loss: BatchLoss, first: bool) -> None:
        """Measure now and then; judge the first batch at once, the others when the epoch ends."""
        if due(self._epoch_step, first_epoch=self._epoch == 0):
            measured = measure(batch, loss)
            self._measured += [] if measured is None else [measured]
        if first:
            verify(self._measured, self.head)

    def _meet_head(self, batch: HeadBatch) -> None:
        """Compare the head with what is known of the classes; what is learnt of it goes into run.json."""
        classes = batch.logits.shape[1]
        names = self._writer.info["class_names"] or [str(c) for c in range(classes)]
        if len(names) != classes:
            raise InputError(
                expected=f"one class name per output of the head {batch.name!r}: {classes}",
                found=f"{len(names)}",
                todo="Pass class_names with one name per class, or name the right head with head=....",
            )
        check_loss(self._loss, classes)
        self._samples.num_classes = classes
        self._writer.update_info(
            {
                "head": batch.name,
                "head_features": batch.features.shape[1],
                "class_names": names,
                "optimizer": optimizer_facts(self.optimizer, batch.head.weight),
            }
        )
        self._met_head = True

    def end_epoch(self, *, probe: DataLoader[object] | None = None, **metrics: object) -> EpochSummary:
        """Write the epoch to disk and summarise it. `metrics` (such as ``val_accuracy=0.9``) are stored beside it.

        Args:
            probe: Samples of the training set to measure in evaluation mode now, instead of those of
                ``gwa.record(..., probe=...)``: a loader without augmentation, say.

        Raises:
            StepOrderError: nothing was recorded since the last epoch.
            HeadError, LossMismatchError: a batch showed that the closed form does not apply; the epoch is not written.
            InputError: a metric has the name of a field of the summary, a target is no class, or the probe cannot run.
            SampleIdError: an id that does not exist, or a sample whose label changed; the epoch is not written.
            RunError: the disk is full; earlier epochs stay readable, and the call can be repeated.
            RecordingError: one of these in another process.
        """
        (every, measured), tables = self._processes.each(
            lambda: (self._observed(), checked_metrics(metrics, COLUMNS)), lambda found: told(found[0], OBSERVED)
        )
        everyone = in_order(tables)
        self._samples.learn_labels(everyone)
        seconds = time.perf_counter() - self._epoch_began
        look = self._probe.look(
            probe,
            everyone,
            epoch=self._epoch,
            step=self._step,
            num_samples=self._samples.num_samples,
            signals=self._signals,
            loss=self._loss,
        )
        if look is not None:
            self._samples.learn_labels(look.everyone)
        changed = None if self._processes.rank else self._samples.changed_predictions(everyone)
        # Only now: what is not stored was needed for the votes and the predictions.
        table = every.select([name for name in every.column_names if name not in SIGNALS or name in self._signals])
        sums = sums_of(
            table, self._samples.num_samples, changed, seconds, seen=own_samples(tables, self._processes.rank)
        )
        # Before the observations: whoever finds these finds their samples.
        self._processes.first(lambda: self._writer.write_samples(self._samples.frame()))
        _, rows = self._processes.each(lambda: self._write(table, look, sums, measured), lambda written: written)
        # When everything is written: a call that failed can be repeated, and compares with the same epoch.
        self._samples.remember_predictions(everyone)
        self._rows[self._epoch] = rows
        self._close_epoch()
        return summary_of(rows)

    def _observed(self) -> pa.Table:
        verify(self._measured, self.head)
        return self._buffer.table(self._epoch, SIGNALS)

    def _write(self, table: pa.Table, look: Look | None, sums: Row, metrics: dict[str, float]) -> Row:
        """Write all files of an epoch, the observations last: an epoch is there when they are."""
        of_look, sums_of_look = ({}, None) if look is None else (look.metrics, look.sums)
        check_names("metric", metrics, of_look)
        row = epoch_row(self._epoch, self._processes.rank, sums, {**metrics, **of_look}, sums_of_look)
        part = self._writer.part(self._epoch)
        if self._layers is not None:
            self._writer.write_layers(part, self._layers.table(self._epoch))
        if look is not None:
            self._writer.write_probe(part, look.table)
        self._writer.write_observations(part, table)
        self._writer.write_epoch(part, row)
        return row

    def _close_epoch(self) -> None:
        if self._layers is not None:
            self._layers.close_epoch()
        self._probe.close_epoch()
        self._buffer, self._measured = EpochBuffer(), []
        self._epoch, self._epoch_step = self._epoch + 1, 0
        self._epoch_began = time.perf_counter()

    def rewind(self, epoch: int) -> None:
        """Go back to before `epoch`: it is recorded next, and what is stored of it and of later ones is deleted.

        For a training that goes on from a checkpoint made after `epoch` epochs: see ``gwa.record(..., resume=True)``.

        Raises:
            InputError: the run does not hold all epochs before it, or not what the probe needs of them.
            RunError: the files cannot be deleted.
        """
        stored = self._processes.first(lambda: whole_epochs(self.path, self._writer.info))
        check_stored(self.path, stored, epoch)
        run = open_run(self.path)
        if stored:
            self._samples.recall(run.samples)
        replay = Replay(run, epoch)
        for table, _ in replay:
            self._samples.learn_labels(table)
            self._samples.remember_predictions(table)
        self._probe.recall(replay)
        self._rows = replay.rows()
        self._processes.first(lambda: give_up_from(self.path, epoch))
        self._close_epoch()
        self._epoch, self._step = epoch, replay.steps()

    def epochs(self) -> pd.DataFrame:
        """Return one row for each epoch that has ended, as `Run.epochs()` gives them."""
        return epoch_frame(self._rows)
