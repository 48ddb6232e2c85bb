"""The worth of a method's ranking to the model: leave out its first suspects, train again, ask samples held out."""

from collections.abc import Mapping, Sequence
from hashlib import sha256

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from gwa_attrib.auditing.audited_model import AuditedModel
from gwa_attrib.evaluation import held_out, subset_removal
from gwa_attrib.scores import Scores
from gwa_attrib.value_types import Floats32, Ints

FOLDER = "removal"


def measure_removal(
    audited: AuditedModel,
    scores: Mapping[str, Scores],
    verified: Ints,
    *,
    shares: Sequence[float],
    seeds: int = 3,
    workers: int = 1,
) -> pd.DataFrame:
    """The table of `subset_removal`, for the cross-entropy of verified labels (nats, low is good).

    A fifth of the samples with a verified label is held out; of the others the first suspects of each method are
    removed, and what is left is trained on as the audit did. The rankings are those of the run on all samples.

    Args:
        audited: Model, samples and training.
        scores: By method, of all samples.
        verified: A class for each sample, negative where it is not known.
        shares: Of the samples that are not held out, to remove.
        seeds: Trainings for each.
        workers: Processes.

    Raises:
        InputError: too few verified labels, or shares outside 0 to 1.
    """
    asked = held_out(verified)
    pool = np.setdiff1d(np.arange(len(verified)), asked)
    targets = torch.from_numpy(verified[asked])

    def train(kept: Ints, seed: int) -> Floats32:
        logits = audited.train_and_ask(pool[kept], asked, seed)
        losses: Floats32 = F.cross_entropy(logits, targets, reduction="none").numpy()
        return losses

    in_pool = {method: _within(found.order(), pool) for method, found in scores.items()}
    return subset_removal(
        train, in_pool, len(pool), audited.path / FOLDER / _digest(in_pool, shares), shares=shares, seeds=seeds,
        workers=workers,
    )  # fmt: skip


def _within(order: Ints, pool: Ints) -> Ints:
    """The order, of the samples in the pool alone, as positions in it."""
    inside = order[np.isin(order, pool)]
    return np.searchsorted(pool, inside)


def _digest(rankings: Mapping[str, Ints], shares: Sequence[float]) -> str:
    """Names the folder of these trainings: others do not mix with them."""
    digest = sha256(repr(list(shares)).encode())
    for method, order in rankings.items():
        digest.update(method.encode() + np.ascontiguousarray(order).tobytes())
    return digest.hexdigest()[:16]
