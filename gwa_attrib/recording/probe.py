"""The probe: samples measured in evaluation mode at the end of an epoch, all at the same weights.

What is recorded online is measured while the weights move, with dropout, augmentation and the batch's own statistics.
The probe sees what the test set will meet. It leaves the model and the random numbers as they were.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader, Subset

from gwa_attrib.errors import InputError
from gwa_attrib.functional.observation import observe_loss
from gwa_attrib.functional.targets import CrossEntropy
from gwa_attrib.hooks.forward import Forward, glimpses, only, to_device
from gwa_attrib.hooks.undisturbed import left_undisturbed
from gwa_attrib.recording.batches import Batches
from gwa_attrib.recording.buffer import EpochBuffer
from gwa_attrib.recording.processes import Processes
from gwa_attrib.store.schema import TOP

ENTROPY = 0x70_72_6F_62_65
"""Seed of the draw: not a small number, with which a user may have drawn the samples to corrupt."""


class ProbeBatch(NamedTuple):
    """One batch in evaluation mode."""

    sample_ids: Tensor
    targets: Tensor
    features: Tensor
    """Input of the head, ``[sample, feature]``."""
    logits: Tensor
    weight: Tensor
    """The kernel of the head."""
    bias: Tensor | None


class Probe:
    """The samples that are looked at, and the way to look at them.

    Args:
        model: The model to look at; of an `AveragedModel` the averaged weights.
        samples: How many of the training set, drawn once; None for all of them.
        forward: Runs the model on a batch and gives its targets.
        processes: Among which the samples are shared.
    """

    def __init__(self, model: nn.Module, samples: int | None, forward: Forward, processes: Processes) -> None:
        # The head goes by its name in the model inside.
        self.model: nn.Module = model.module if isinstance(model, AveragedModel) else model
        self._samples, self._forward, self._processes = samples, forward, processes
        self._loader: DataLoader[object] | None = None
        self._last = pd.Series(dtype=np.int32)

    @property
    def loader(self) -> DataLoader[object] | None:
        """The loader over the samples that are looked at, once it is known."""
        return self._loader

    @property
    def forward(self) -> Forward:
        """The function that runs the model on a batch."""
        return self._forward

    def watch(self, loader: DataLoader[object]) -> None:
        """Draw the samples from the loader of the training set: the first that the recorder meets."""
        if self._loader is None:
            self._loader = sampled(loader, self._samples, self._processes)

    def head(self, name: str) -> nn.Linear:
        """Return the layer of that name in the model that is looked at."""
        module = dict(self.model.named_modules()).get(name)
        if not isinstance(module, nn.Linear):
            raise InputError(
                expected=f"probe_model to have a linear layer {name!r}, as the trained model has",
                found="none of that name" if module is None else type(module).__name__,
                todo="Pass an averaged copy of the model: torch.optim.swa_utils.AveragedModel(model).",
            )
        return module

    def batches(self, name: str, loader: object = None) -> Iterator[ProbeBatch]:
        """Yield all batches of the probe; `loader` instead of the drawn samples.

        Raises:
            InputError: no loader is known, or its batches are of an unknown kind.
            HeadError: the head does not run once per batch.
        """
        loader = self._loader if loader is None else loader
        if not isinstance(loader, DataLoader):
            raise InputError(
                expected="a loader for the probe",
                found="none: the batches did not come from recorder.batches(loader)"
                if loader is None
                else repr(loader),
                todo="Pass one over the training set, without augmentation: recorder.end_epoch(probe=loader).",
            )
        announced: list[Tensor] = []
        head = self.head(name)
        with left_undisturbed(self.model, training=False), torch.no_grad(), glimpses(head) as seen:
            for batch in Batches(loader, announced.append):
                targets = self._forward(self.model, to_device(batch, head.weight.device))
                glimpse = only(seen, name)
                yield ProbeBatch(
                    announced.pop(), targets, glimpse.features, glimpse.logits, glimpse.weight, glimpse.bias
                )

    def measure(
        self,
        name: str,
        loader: object,
        *,
        epoch: int,
        step: int,
        signals: tuple[str, ...],
        loss: CrossEntropy,
    ) -> pa.Table:
        """Return the table of the probe, with the columns of the observations."""
        buffer = EpochBuffer()
        for batch in self.batches(name, loader):
            if not len(batch.sample_ids) == len(batch.targets) == len(batch.logits):
                raise InputError(
                    expected=f"{len(batch.sample_ids)} targets and rows of logits in a batch of the probe",
                    found=f"{len(batch.targets)} and {len(batch.logits)}",
                    todo="Let probe_forward= run the whole batch and return its targets.",
                )
            of_batch = loss.of(batch.logits, batch.targets)
            observation = observe_loss(of_batch, batch.features, batch.weight, batch.bias, top=TOP)
            buffer.append(observation, batch.sample_ids, step, float("nan"))
        if not len(buffer):
            raise InputError(expected="samples in the probe", found="none", todo="Pass a loader that has samples.")
        return buffer.table(epoch, signals)

    def changed(self, table: pa.Table) -> int | None:
        """Count the samples that are predicted otherwise than in their last probe; None if none was in one."""
        now = _predictions(table)
        both = now.index.intersection(self._last.index)
        return int((now[both] != self._last[both]).sum()) if len(both) else None

    def forget(self) -> None:
        """Forget all predictions, as before the first epoch."""
        self._last = pd.Series(dtype=np.int32)

    def remember(self, table: pa.Table) -> None:
        """Remember the predictions of an epoch that is over."""
        self._last = _predictions(table).combine_first(self._last)


def _predictions(table: pa.Table) -> pd.Series:
    now = pd.Series(table["pred"].to_numpy(), index=table["sample_id"].to_numpy())
    return now[~now.index.duplicated(keep="last")]


def sampled(loader: DataLoader[object], samples: int | None, processes: Processes) -> DataLoader[object]:
    """Make a loader over `samples` of the loader's data set, always the same ones, in their order.

    Of several processes each gets its share, and all as many: some processes one sample that another has, too.
    """
    dataset = loader.dataset
    positions = np.arange(len(dataset))  # type: ignore[arg-type]
    if samples is not None and samples < len(positions):
        drawn = np.random.default_rng(ENTROPY).choice(len(positions), samples, replace=False)
        positions = np.sort(drawn)
    share = positions[processes.rank :: processes.size]
    # A sharded model's forward pass waits for all processes: each has to run as many batches.
    if len(share) * processes.size < len(positions):
        share = np.append(share, positions[0])
    if len(share) < len(dataset):  # type: ignore[arg-type]
        dataset = Subset(dataset, share.tolist())
    return DataLoader(
        dataset,
        batch_size=loader.batch_size or 64,
        collate_fn=loader.collate_fn,
        num_workers=loader.num_workers,
        pin_memory=loader.pin_memory,
        worker_init_fn=loader.worker_init_fn,
        multiprocessing_context=loader.multiprocessing_context,
        generator=torch.Generator(),
    )
