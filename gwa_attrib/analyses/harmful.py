"""Samples whose presence probably hurts, and why: from the run, and from where the samples lie."""

from collections.abc import Sized

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from gwa_attrib.analyses.mislabeled import rank_mislabeled
from gwa_attrib.analyses.registry import analyses, scores_of
from gwa_attrib.errors import InputError
from gwa_attrib.functional.trajectory import fraction_negative
from gwa_attrib.neighbours import near_duplicates, outlier_distance
from gwa_attrib.scores import Scores
from gwa_attrib.store.kept import kept_duplicates, kept_features
from gwa_attrib.store.run import Run
from gwa_attrib.value_types import Array

PERSISTENT = 0.75
"""Share of the epochs with a negative alignment from which it is called persistent."""
FAR = 2.0
"""Distance to the neighbours, in those of the median sample, from which a sample is an outlier."""
REASONS = ("label issue", "near-duplicate with another label", "persistent negative alignment", "hard outlier")


@analyses.register("harmful", suspect="high", source="gwa_attrib; mislabeled, with near-duplicates and outliers")
def rank_harmful(run: Run, *, features: Sized | None = None, scores: Scores | None = None) -> Scores:
    """Log-odds, in nats, that training goes better without the sample or with another label for it.

    It is the value of ``rank(run, "mislabeled")``, but where a near-duplicate has another label: one of the two is
    wrong, and the odds that it is this one are its own odds over those of the duplicate that is trusted most. Outliers
    and persistent negative alignment are told, and do not move the value.

    Columns: `reason`, of `REASONS`, joined by "; ", empty where nothing speaks against the sample; `near_duplicate`,
    the id of the near-duplicate with another label that is trusted most, -1 without; `outlier_distance`, the mean
    distance to the nearest neighbours in units of the median sample's, NaN without features; `fraction_negative`; and
    `is_label_issue`, `label_score` and `predicted_label` of ``rank(run, "mislabeled")``.

    Args:
        run: A run; one of an audit has near-duplicates of its inputs and features of its network with it.
        features: ``[sample, ...]``, row i of the i-th sample id: where near-duplicates and outliers are looked for
            instead.
        scores: ``rank(run, "mislabeled")``, where it has been made already.

    Raises:
        InputError: features of another number of samples, or that are not finite.
    """
    base = rank_mislabeled(run) if scores is None else scores
    odds = base.values.astype(np.float64)
    pairs, distance = _neighbourhood(run, features)
    rival = most_trusted_rival(pairs, run.labels, odds)
    value = np.where(rival >= 0, np.fmax(odds, odds - odds[rival]), odds)
    negative = fraction_negative_of(run)
    hard = (distance >= FAR) & (negative >= PERSISTENT)
    reasons = {
        "label issue": np.asarray(base.columns["is_label_issue"]),
        "near-duplicate with another label": (rival >= 0) & (value > 0),
        "persistent negative alignment": negative >= PERSISTENT,
        "hard outlier": hard,
    }
    shared = ("is_label_issue", "label_score", "predicted_label")
    return scores_of(
        run,
        "harmful",
        value.astype(np.float32),
        columns={
            "reason": _in_words(reasons),
            "near_duplicate": np.where(rival >= 0, run.sample_ids[rival], -1),
            "outlier_distance": distance,
            "fraction_negative": negative,
            **{name: base.columns[name] for name in shared},
        },
        counts={name: int(found.sum()) for name, found in reasons.items()},
    )


def most_trusted_rival(
    pairs: pd.DataFrame, labels: Int[np.ndarray, " sample"], odds: Float[np.ndarray, " sample"]
) -> Int[np.ndarray, " sample"]:
    """Find the near-duplicate of each sample, with another label, that has the lowest odds of being wrong; -1 without.

    `pairs` hold positions `sample_a` and `sample_b`.
    """
    rival = np.full(len(labels), -1, dtype=np.int64)
    a, b = (pairs[name].to_numpy(dtype=np.int64) for name in ("sample_a", "sample_b"))
    one, other = np.concatenate([a, b]), np.concatenate([b, a])
    differ = (labels[one] != labels[other]) & (labels[one] >= 0) & (labels[other] >= 0) & ~np.isnan(odds[other])
    one, other = one[differ], other[differ]
    order = np.lexsort((-other, -odds[other]))  # the last one written is the most trusted; of equals the first
    rival[one[order]] = other[order]
    return rival


def fraction_negative_of(run: Run) -> Float[np.ndarray, " sample"]:
    """Share of the epochs in which the head's alignment was negative; NaN where it never had one."""
    import torch

    return np.asarray(fraction_negative(torch.from_numpy(run.trajectory("alignment"))).numpy(), dtype=np.float64)


def _neighbourhood(run: Run, features: Sized | None) -> tuple[pd.DataFrame, Float[np.ndarray, " sample"]]:
    """Near-duplicates as positions, and the distance of each sample to its neighbours; of nothing: none, and NaN."""
    nothing = pd.DataFrame({"sample_a": [], "sample_b": []}, dtype=np.int64)
    if features is not None:
        if len(features) != len(run.sample_ids):
            raise InputError(
                expected=f"features of the {len(run.sample_ids)} samples of the run, in the order of their ids",
                found=f"{len(features)} rows",
                todo="Pass one row per sample.",
            )
        return near_duplicates(features).pairs, outlier_distance(features)
    kept, own = kept_duplicates(run), kept_features(run)
    distance = np.full(len(run.sample_ids), np.nan) if own is None else outlier_distance(own)
    if kept is None:
        return nothing, distance
    place = pd.Index(run.sample_ids)
    return kept.assign(**{name: place.get_indexer(kept[name]) for name in ("sample_a", "sample_b")}), distance


def _in_words(reasons: dict[str, Bool[np.ndarray, " sample"]]) -> Array:
    words = np.array([[name if is_so else "" for is_so in found] for name, found in reasons.items()], dtype=object)
    return np.array(["; ".join(filter(None, column)) for column in words.T], dtype=object)
