"""The look at a model when an epoch ends: the probe, and the measures that need features or gradients."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

import pyarrow as pa
import torch
from torch.utils.data import DataLoader

from gwa_attrib.errors import NotRecordedError
from gwa_attrib.functional.targets import CrossEntropy
from gwa_attrib.recording.head import HeadCapture
from gwa_attrib.recording.layer_recording import LayerRecording
from gwa_attrib.recording.measures import POINTS, View, measures
from gwa_attrib.recording.probe import Probe
from gwa_attrib.recording.processes import LOOKED_AT, Processes, in_order, own_rows, told
from gwa_attrib.recording.samples import Consensus
from gwa_attrib.store.summaries import Row, sums_of


class Look(NamedTuple):
    """The result of one look."""

    table: pa.Table
    """One row per sample, with the columns of the observations."""
    everyone: pa.Table
    """The samples that all processes looked at, with their labels and predictions."""
    sums: Row
    """The sums that are stored with the epoch."""
    metrics: dict[str, float]
    """The numbers of the measures."""


class ProbeRecording:
    """The looks of a recording: at the end of each epoch, if `every_epoch`, and when it is given a loader."""

    def __init__(
        self,
        probe: Probe,
        names: Sequence[str],
        head: HeadCapture,
        layers: LayerRecording | None,
        processes: Processes,
        *,
        every_epoch: bool,
    ) -> None:
        self._probe, self._head, self._layers = probe, head, layers
        self._processes = processes
        self._measures = [measures[name] for name in names]
        self._every_epoch = every_epoch
        self._before = self._consensus = Consensus()
        self._table: pa.Table | None = None

    def watch(self, loader: DataLoader[object]) -> None:
        """Hand the loader of the training set to the probe."""
        if self._every_epoch:
            self._probe.watch(loader)

    def look(
        self,
        loader: Any,
        trained: pa.Table,
        *,
        epoch: int,
        step: int,
        num_samples: int,
        signals: tuple[str, ...],
        loss: CrossEntropy,
    ) -> Look | None:
        """Look at the model after an epoch; None where there is nothing to look at.

        `trained` are the epoch's observations of all processes: sample_id, pred and p_label. Of several
        processes, all of which have to call it, each finds what none of lower rank has looked at.
        """
        # From what was before the epoch, so that a look which is repeated counts its votes once.
        self._consensus = self._before.after(trained)
        if not (self._every_epoch or loader is not None):
            return None
        began = time.perf_counter()
        name = self._head.name or ""

        def measure() -> tuple[pa.Table, dict[str, float]]:
            with self._paused():
                table = self._probe.measure(name, loader, epoch=epoch, step=step, signals=signals, loss=loss)
                return table, self._measured(name, loader, epoch, loss)

        (table, metrics), tables = self._processes.each(measure, lambda found: told(found[0], LOOKED_AT))
        everyone, own = in_order(tables), table.filter(own_rows(tables, self._processes.rank))
        # Counted over all rows, hence by one process alone: the sums of all are added.
        changed = None if self._processes.rank else self._probe.changed(everyone)
        seconds = time.perf_counter() - began
        self._table = everyone
        return Look(own, everyone, sums_of(own, num_samples, changed, seconds, self._consensus.agreeing(own)), metrics)

    def close_epoch(self) -> None:
        """Take note that the epoch has been written. Until then a look can be repeated, and finds the same."""
        self._before = self._consensus
        if self._table is not None:
            self._probe.remember(self._table)
        self._table = None

    def recall(self, epochs: Iterable[tuple[pa.Table, pa.Table | None]]) -> None:
        """Begin again after epochs of a run, given what was observed and what was looked at in each.

        Raises:
            NotRecordedError: the run lacks what the probe needs to know of them.
        """
        self._before, self._table = Consensus(), None
        self._probe.forget()
        for trained, looked in epochs:
            if "p_label" in trained.column_names:
                self._before = self._before.after(trained)
            elif self._every_epoch:
                raise NotRecordedError(
                    expected="a run with p_label, to go on with a probe",
                    found=f"a run with {', '.join(trained.column_names)}",
                    todo="Record with signals=None, or leave resume=True or the probe out.",
                )
            if looked is not None:
                self._probe.remember(looked)
        self._consensus = self._before

    @contextmanager
    def _paused(self) -> Iterator[None]:
        """Take nothing that passes through the model inside the block for training."""
        with self._head.paused(), self._layers.paused() if self._layers is not None else nullcontext():
            yield

    def _measured(
        self, name: str, loader: DataLoader[object] | None, epoch: int, loss: CrossEntropy
    ) -> dict[str, float]:
        chosen = self._probe.loader if loader is None else loader
        if not self._measures or chosen is None:
            return {}
        batches, count = [], 0
        for batch in self._probe.batches(name, chosen):
            batches.append(batch)
            count += len(batch.features)
            if count >= POINTS:
                break
        features, logits, targets = (
            torch.cat([getattr(batch, field) for batch in batches])[:POINTS]
            for field in ("features", "logits", "targets")
        )
        view = View(
            self._probe.model, name, chosen, features.float(), logits.float(), targets, self._probe.forward, loss, epoch
        )
        return {key: value for measure in self._measures for key, value in measure(view).items()}
