"""Labels that the training agrees on: each epoch's prediction votes with what is left of the sample's own residual.

While a model trains it predicts for every sample, and its label still pulls with the residual ``1 - p(label)``. A
prediction made then is the model's own view of the sample. Once a label has been learnt by heart the residual is gone,
and with it the vote: a wrong label that is memorised cannot outvote what the model said before.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Int

Array = np.ndarray[Any, np.dtype[Any]]


class Consensus:
    """Votes for the classes of each sample, kept for the classes that got any."""

    def __init__(self) -> None:
        self._sample: Array = np.empty(0, dtype=np.int64)
        self._label: Array = np.empty(0, dtype=np.int64)
        self._votes: Array = np.empty(0, dtype=np.float64)

    def vote(self, table: pa.Table) -> None:
        """Take in the observations of an epoch: their `sample_id`, `pred` and `p_label`."""
        weight = 1.0 - table["p_label"].to_numpy().astype(np.float64)
        sample = np.concatenate([self._sample, table["sample_id"].to_numpy()])
        label = np.concatenate([self._label, table["pred"].to_numpy()])
        votes = np.concatenate([self._votes, np.nan_to_num(weight)])
        order = np.lexsort((label, sample))
        sample, label, votes = sample[order], label[order], votes[order]
        first = np.flatnonzero(np.r_[True, (np.diff(sample) != 0) | (np.diff(label) != 0)]) if len(sample) else order
        self._sample, self._label = sample[first], label[first]
        self._votes = np.add.reduceat(votes, first) if len(first) else votes

    def labels(self, sample_ids: Int[np.ndarray, " row"]) -> Int[np.ndarray, " row"]:
        """The class with the most votes, of equals the lowest; -1 for a sample that got no vote."""
        order = np.lexsort((-self._label, self._votes, self._sample))
        sample, label = self._sample[order], self._label[order]
        last = np.flatnonzero(np.r_[sample[1:] != sample[:-1], True]) if len(sample) else order
        known, winner = sample[last], label[last]
        where = np.searchsorted(known, sample_ids)
        where = np.minimum(where, max(len(known) - 1, 0))
        found = np.full(len(sample_ids), -1, dtype=np.int64)
        if len(known):
            hit = known[where] == sample_ids
            found[hit] = winner[where[hit]]
        return found

    def agreeing(self, table: pa.Table) -> int:
        """How many rows of a probe are predicted as the training agrees."""
        return int((self.labels(table["sample_id"].to_numpy()) == table["pred"].to_numpy()).sum())
