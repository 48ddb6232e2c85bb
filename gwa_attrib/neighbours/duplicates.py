"""Near-duplicates: pairs of samples whose distance is a small part of the usual distance to the nearest neighbour."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from gwa_attrib.errors import InputError
from gwa_attrib.neighbours.outliers import checked_features
from gwa_attrib.value_types import Floats32

NEAR = 0.15
"""Share of the median distance to the nearest neighbour: closer samples are near-duplicates."""
ASKED = 2000
"""Samples that the median is taken over, drawn once and for all."""
PROJECTED = 48
"""Dimensions of the search: a projection shortens distances, so that no pair is missed; each is measured in full."""
MOST = 200_000
"""Pairs of samples that are not the same: more are not listed, see `Duplicates.complete`."""
BLOCK = 1024
COLUMNS = ("sample_a", "sample_b", "distance")


@dataclass(frozen=True, eq=False)
class Duplicates:
    """The samples that lie close together."""

    pairs: pd.DataFrame
    """One row per pair, the nearest first: positions `sample_a` < `sample_b` and their Euclidean `distance`. Of samples
    that are exactly the same only neighbours in the order of positions are paired: a picture that is there 5,000 times
    makes 4,999 pairs."""
    groups: Int[np.ndarray, " sample"]
    """A number for each sample: equal for samples that pairs connect; -1 for samples without a pair."""
    threshold: float
    """Distance up to which two samples are near-duplicates."""
    complete: bool
    """True if all near pairs are listed."""

    def conflicts(self, labels: Int[np.ndarray, " sample"]) -> pd.DataFrame:
        """The pairs whose labels differ; samples without a label (negative) have none."""
        a, b = (labels[self.pairs[name].to_numpy()] for name in COLUMNS[:2])
        found: pd.DataFrame = self.pairs[(a != b) & (a >= 0) & (b >= 0)]
        return found


def near_duplicates(features: object, *, near: float = NEAR) -> Duplicates:
    """All pairs of samples closer than `near` times the median distance of a sample to its nearest other neighbour.

    Exact: no pair is missed (up to `MOST`), by scikit-learn's brute-force search on the first principal axes, whose
    distances are never longer than the true ones; every pair found is measured in full. For data sets whose samples fit
    in memory; time grows with the square of their number, 60,000 take seconds to a minute.

    Args:
        features: ``[sample, ...]``, in a space where distance means something: pictures scaled alike, standardised
            columns, sentence embeddings.
        near: 0 finds what is exactly the same.

    Raises:
        InputError: no matrix, or values that are not finite.
    """
    rows = checked_features(features)
    first, copies = _same(rows)
    # Of different rows alone: many copies would make the usual distance zero, and nothing would be near.
    unique = rows[first]
    threshold = near * typical_distance(unique)
    found, complete = _close(unique, unique, threshold) if len(unique) > 1 else (np.zeros((0, 3)), True)
    found = found[found[:, 0] < found[:, 1]]
    near_pairs = np.column_stack([first[found[:, :2].astype(np.int64)], found[:, 2]]) if len(found) else found
    pairs = _table(np.concatenate([copies, near_pairs]))
    return Duplicates(pairs, _groups(pairs, len(rows)), threshold, complete)


def leaks(train: object, test: object, *, near: float = NEAR) -> pd.DataFrame:
    """Pairs of a training and a test sample that are near-duplicates: `train`, `test` (positions) and `distance`.

    The threshold is that of `near_duplicates` of the training samples.

    Raises:
        InputError: no matrices, values that are not finite, or matrices of different widths.
    """
    known, asked = checked_features(train, "train"), checked_features(test, "test")
    if known.shape[1] != asked.shape[1]:
        raise InputError(
            expected=f"test features as wide as those of training, {known.shape[1]}",
            found=f"{asked.shape[1]}",
            todo="Encode both in the same way.",
        )
    threshold = near * typical_distance(np.unique(known, axis=0)) if len(known) else 0.0
    found, _ = _close(known, asked, threshold) if len(known) and len(asked) else (np.zeros((0, 3)), True)
    return _table(found).rename(columns={"sample_a": "train", "sample_b": "test"})


def typical_distance(rows: Floats32) -> float:
    """The median distance to the nearest other row, over at most `ASKED` rows; 0 for fewer than two."""
    from sklearn.neighbors import NearestNeighbors

    if len(rows) < 2:
        return 0.0
    asked = np.random.default_rng(0).permutation(len(rows))[:ASKED]
    distance, _ = NearestNeighbors(n_neighbors=2, algorithm="brute").fit(rows).kneighbors(rows[asked])
    return float(np.median(distance[:, 1]))


def _same(rows: Floats32) -> tuple[Int[np.ndarray, " unique"], Float[np.ndarray, "pair 3"]]:
    """The first of each set of equal rows, and pairs that link the others to it in their order."""
    whole = np.ascontiguousarray(rows + 0.0).view([("", np.void, rows.shape[1] * 4)]).ravel()  # + 0.0: no minus zero
    _, first, which = np.unique(whole, return_index=True, return_inverse=True)
    order = np.lexsort((np.arange(len(rows)), which))
    linked = which[order][1:] == which[order][:-1]
    pairs = np.column_stack([order[:-1][linked], order[1:][linked], np.zeros(linked.sum())])
    return np.sort(first), pairs


def _close(known: Floats32, asked: Floats32, radius: float) -> tuple[Float[np.ndarray, "pair 3"], bool]:
    """Find rows of `known` and of `asked` up to `radius` apart, with their distances; and whether those are all."""
    from sklearn.neighbors import NearestNeighbors

    axes, centre = _axes(known)
    search = NearestNeighbors(algorithm="brute").fit((known - centre) @ axes)
    slack = 1e-4 * float(np.abs(known - centre).max(initial=0.0)) + 1e-6  # rounding of the search must lose no pair
    found: list[Float[np.ndarray, "pair 3"]] = []
    for start in range(0, len(asked), BLOCK):
        part = asked[start : start + BLOCK]
        near = search.radius_neighbors((part - centre) @ axes, radius + slack, return_distance=False)
        b = np.repeat(np.arange(len(part)), [len(rows) for rows in near])
        a = np.concatenate(list(near)).astype(np.int64) if len(near) else b
        distance = np.linalg.norm(known[a].astype(np.float64) - part[b], axis=1)
        close = distance <= radius
        found.append(np.column_stack([a[close], start + b[close], distance[close]]))
        if sum(map(len, found)) > 2 * MOST + len(asked):
            return np.concatenate(found), False
    return np.concatenate(found), True


def _axes(rows: Floats32) -> tuple[Floats32, Floats32]:
    """Principal axes ``[feature, axis]`` of at most `ASKED` rows, orthonormal; and their mean."""
    some = rows[np.random.default_rng(0).permutation(len(rows))[:ASKED]]
    centre: Floats32 = some.mean(axis=0)
    if rows.shape[1] <= PROJECTED:
        return np.eye(rows.shape[1], dtype=np.float32), centre
    _, _, axes = np.linalg.svd(some - centre, full_matrices=False)
    return np.ascontiguousarray(axes[:PROJECTED].T), centre


def _table(pairs: Float[np.ndarray, "pair 3"]) -> pd.DataFrame:
    order = np.lexsort((pairs[:, 1], pairs[:, 0], pairs[:, 2]))[:MOST]
    a, b, distance = pairs[order].T
    values = (a.astype(np.int64), b.astype(np.int64), distance)
    return pd.DataFrame(dict(zip(COLUMNS, values, strict=True)))


def _groups(pairs: pd.DataFrame, samples: int) -> Int[np.ndarray, " sample"]:
    a, b = (pairs[name].to_numpy() for name in COLUMNS[:2])
    graph = coo_matrix((np.ones(len(a)), (a, b)), shape=(samples, samples))
    _, component = connected_components(graph, directed=False)
    paired = np.zeros(samples, dtype=bool)
    paired[a] = paired[b] = True
    _, numbered = np.unique(component[paired], return_inverse=True)
    found = np.full(samples, -1, dtype=np.int64)
    found[paired] = numbered
    return found
