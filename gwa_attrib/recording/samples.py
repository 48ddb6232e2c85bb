"""The knowledge about each sample while recording: that it exists, its label, its last prediction, and the label that
the training agrees on.

The last is a vote, of each epoch's prediction, with what is left of the sample's own residual. While a model trains it
predicts for every sample, and its label still pulls with the residual ``1 - p(label)``. A prediction made then is the
model's own view of the sample. Once a label has been learnt by heart the residual is gone, and with it the vote: a
wrong label that is memorised cannot outvote what the model said before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow as pa
from jaxtyping import Int

from gwa_attrib.errors import InputError, SampleIdError
from gwa_attrib.value_types import Array


class SampleBook:
    """One entry per sample id. Finds ids that cannot be, and labels that change: both mean that rows are mixed up.

    Without a loader the ids are 0..num_samples-1. A loader over a `Subset` announces the ids of the larger data set.
    """

    def __init__(
        self, num_samples: int, num_classes: int | None, facts: Mapping[str, Sequence[str] | Array] | None = None
    ) -> None:
        self.num_samples = num_samples
        self.num_classes = num_classes
        self.sample_ids: Int[np.ndarray, " sample"] = np.arange(num_samples, dtype=np.int64)
        self._facts = facts or {}
        self._order: Int[np.ndarray, " sample"] | None = self.sample_ids
        self._announced = False
        self._label = np.full(num_samples, -1, dtype=np.int32)
        self._last_pred = np.full(num_samples, -1, dtype=np.int32)

    def announce(self, sample_ids: Int[np.ndarray, " sample"], base_size: int) -> None:
        """Take note of the ids that a loader can yield, in the order of its data set, out of `base_size`.

        Raises:
            SampleIdError: with what was announced before there are more of them than `num_samples`.
            InputError: it cannot be told which sample each key belongs to.
        """
        if base_size == self.num_samples:
            sample_ids = np.arange(base_size, dtype=np.int64)
        known = self.sample_ids[(self._label >= 0) | self._announced]
        union = np.union1d(known, sample_ids)
        if len(union) > self.num_samples:
            raise SampleIdError(
                expected=f"at most num_samples={self.num_samples} different samples",
                found=f"{len(union)} in the loaders so far",
                todo="Pass num_samples=len(train_set) to gwa.record(), of the data set that the loaders read.",
            )
        if not self._announced:
            self._order = sample_ids if len(union) == len(sample_ids) == self.num_samples else None
        self._announced = True
        if self._facts and self._order is None:
            raise InputError(
                expected=f"a loader over all {self.num_samples} samples, to know whose each key or column is",
                found=f"one over {len(sample_ids)} out of {base_size}",
                todo="Pass num_samples=len(train_set), keys and columns for the data set that the loader reads.",
            )
        self._reindex(union)

    def _reindex(self, sample_ids: Int[np.ndarray, " sample"]) -> None:
        label = pd.Series(self._label, index=self.sample_ids).reindex(sample_ids, fill_value=-1)
        pred = pd.Series(self._last_pred, index=self.sample_ids).reindex(sample_ids, fill_value=-1)
        self.sample_ids = sample_ids
        self._label, self._last_pred = label.to_numpy(dtype=np.int32), pred.to_numpy(dtype=np.int32)

    def recall(self, stored: pd.DataFrame) -> None:
        """Begin again with the samples table of a run, none of which has been seen.

        Raises:
            InputError: the run was begun with other keys or columns.
        """
        ids = stored["sample_id"].to_numpy(dtype=np.int64)
        given = set(stored.columns) - {"sample_id", "label"}
        if (stored["key"] == stored["sample_id"].astype(str)).all():
            given -= {"key"}
        if given != set(self._facts):
            raise InputError(
                expected=f"the keys and columns that the run was begun with: {', '.join(sorted(given)) or 'none'}",
                found=", ".join(sorted(self._facts)) or "none",
                todo="Pass them as at first, or record into another folder.",
            )
        self.sample_ids = ids
        self._label, self._last_pred = (np.full(len(ids), -1, dtype=np.int32) for _ in range(2))

    def learn_labels(self, table: pa.Table) -> None:
        """Take in the labels of an epoch's observations.

        Raises:
            SampleIdError: an id that does not exist, or a label that changed; nothing is taken in then.
            InputError: a label that is no class.
        """
        ids, labels = table["sample_id"].to_numpy(), table["label"].to_numpy()
        self._check_labels(labels)
        where = self._positions(ids)
        settled = self._label.copy()
        settled[where] = np.where(self._label[where] >= 0, self._label[where], labels)
        # Compared after they are put down: one sample with two labels in the same epoch is found, too.
        wrong = np.flatnonzero(settled[where] != labels)
        if len(wrong):
            i = wrong[0]
            raise SampleIdError(
                expected="each sample id to keep its label",
                found=f"sample {ids[i]} with label {settled[where[i]]} and with label {labels[i]}",
                todo="Ids and rows are mixed up: take the ids from the batch itself (recorder.batches(loader) does), "
                "and do not mix samples (mixup) when their ids are recorded.",
            )
        self._label = settled

    def changed_predictions(self, table: pa.Table) -> int | None:
        """Count the samples predicted otherwise than when they were last seen; None if none was seen before."""
        latest = self._latest_predictions(table)
        compared = (self._last_pred >= 0) & (latest >= 0)
        return int(np.sum(latest[compared] != self._last_pred[compared])) if compared.any() else None

    def remember_predictions(self, table: pa.Table) -> None:
        """Remember the predictions of an epoch, which closes it."""
        latest = self._latest_predictions(table)
        self._last_pred = np.where(latest >= 0, latest, self._last_pred)

    def _latest_predictions(self, table: pa.Table) -> Int[np.ndarray, " sample"]:
        """Return the last prediction of each sample in the epoch, -1 where it was not seen."""
        latest = np.full(len(self._last_pred), -1, dtype=np.int32)
        latest[self._positions(table["sample_id"].to_numpy())] = table["pred"].to_numpy()
        return latest

    def _check_labels(self, labels: Int[np.ndarray, " row"]) -> None:
        top = self.num_classes if self.num_classes is not None else np.iinfo(np.int32).max
        outside = labels[(labels < 0) | (labels >= top)]
        if len(outside):
            raise InputError(
                expected=f"targets in 0..{top - 1}",
                found=f"{outside[0]}",
                todo="Leave samples without a class (ignore_index) out of the recorded training set.",
            )

    def _positions(self, ids: Int[np.ndarray, " row"]) -> Int[np.ndarray, " row"]:
        where = np.minimum(np.searchsorted(self.sample_ids, ids), len(self.sample_ids) - 1)
        strange = ids[self.sample_ids[where] != ids]
        if len(strange):
            raise SampleIdError(
                expected=f"sample ids out of the {self.num_samples} that were announced",
                found=f"{strange[0]}",
                todo="Pass num_samples=len(train_set), and ids that are positions in it.",
            )
        return where

    def frame(self) -> pd.DataFrame:
        """Return the samples table of the run."""
        table = pd.DataFrame(
            {"sample_id": self.sample_ids, "key": self.sample_ids.astype(str), "label": self._label},
            index=self.sample_ids,
        )
        for name, values in self._facts.items():
            table[name] = pd.Series(values, index=self._order).reindex(self.sample_ids)
        return table


@dataclass(frozen=True, eq=False)
class Consensus:
    """Votes for the classes of each sample, kept for the classes that got any: sorted by sample, then by class."""

    sample: Array = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    label: Array = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    votes: Array = field(default_factory=lambda: np.empty(0, dtype=np.float64))

    def after(self, table: pa.Table) -> "Consensus":
        """Return the votes with those of an epoch's observations added: of their `sample_id`, `pred` and `p_label`."""
        weight = 1.0 - table["p_label"].to_numpy().astype(np.float64)
        sample = np.concatenate([self.sample, table["sample_id"].to_numpy()])
        label = np.concatenate([self.label, table["pred"].to_numpy()])
        # A probability that is NaN, of logits that overflowed, gives no vote.
        votes = np.concatenate([self.votes, np.nan_to_num(weight)])
        if not len(sample):
            return self
        order = np.lexsort((label, sample))
        sample, label, votes = sample[order], label[order], votes[order]
        first = np.flatnonzero(np.r_[True, (np.diff(sample) != 0) | (np.diff(label) != 0)])
        return Consensus(sample[first], label[first], np.add.reduceat(votes, first))

    def labels(self, sample_ids: Int[np.ndarray, " row"]) -> Int[np.ndarray, " row"]:
        """Return the class with the most votes, of equals the lowest; -1 for a sample that got no vote."""
        found = np.full(len(sample_ids), -1, dtype=np.int64)
        if not len(self.sample):
            return found
        order = np.lexsort((-self.label, self.votes, self.sample))
        sample, label = self.sample[order], self.label[order]
        last = np.flatnonzero(np.r_[sample[1:] != sample[:-1], True])
        known, winner = sample[last], label[last]
        where = np.minimum(np.searchsorted(known, sample_ids), len(known) - 1)
        hit = known[where] == sample_ids
        found[hit] = winner[where[hit]]
        return found

    def agreeing(self, table: pa.Table) -> int:
        """Count the rows of a probe that are predicted as the training agrees."""
        return int((self.labels(table["sample_id"].to_numpy()) == table["pred"].to_numpy()).sum())
