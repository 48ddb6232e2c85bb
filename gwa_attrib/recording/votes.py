"""Labels that the training agrees on: each epoch's prediction votes with what is left of the sample's own residual.

While a model trains it predicts for every sample, and its label still pulls with the residual ``1 - p(label)``. A
prediction made then is the model's own view of the sample. Once a label has been learnt by heart the residual is gone,
and with it the vote: a wrong label that is memorised cannot outvote what the model said before.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Int

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, eq=False)
class Consensus:
    """Votes for the classes of each sample, kept for the classes that got any: sorted by sample, then by class."""

    sample: Array = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    label: Array = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    votes: Array = field(default_factory=lambda: np.empty(0, dtype=np.float64))

    def after(self, table: pa.Table) -> "Consensus":
        """With the votes of an epoch's observations: of their `sample_id`, `pred` and `p_label`."""
        weight = 1.0 - table["p_label"].to_numpy().astype(np.float64)
        sample = np.concatenate([self.sample, table["sample_id"].to_numpy()])
        label = np.concatenate([self.label, table["pred"].to_numpy()])
        votes = np.concatenate([self.votes, np.nan_to_num(weight)])
        if not len(sample):
            return self
        order = np.lexsort((label, sample))
        sample, label, votes = sample[order], label[order], votes[order]
        first = np.flatnonzero(np.r_[True, (np.diff(sample) != 0) | (np.diff(label) != 0)])
        return Consensus(sample[first], label[first], np.add.reduceat(votes, first))

    def labels(self, sample_ids: Int[np.ndarray, " row"]) -> Int[np.ndarray, " row"]:
        """The class with the most votes, of equals the lowest; -1 for a sample that got no vote."""
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
        """How many rows of a probe are predicted as the training agrees."""
        return int((self.labels(table["sample_id"].to_numpy()) == table["pred"].to_numpy()).sum())
