"""Near-duplicates against a loop over all pairs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gwa_attrib.errors import InputError
from gwa_attrib.neighbours import duplicates, leaks, near_duplicates


def loop(rows: np.ndarray, threshold: float) -> set[tuple[int, int]]:
    """All pairs of different rows up to the threshold apart."""
    pairs = set()
    for a in range(len(rows)):
        for b in range(a + 1, len(rows)):
            distance = np.sqrt(((rows[a].astype(np.float64) - rows[b].astype(np.float64)) ** 2).sum())
            if 0 < distance <= threshold:
                pairs.add((a, b))
    return pairs


def planted(samples: int, width: int, *, near: int, seed: int = 0) -> np.ndarray:
    """Points of which the last `near` are shaken copies of the first."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(samples, width)).astype(np.float32)
    if near:
        rows[-near:] = rows[:near] + 1e-3 * rng.normal(size=(near, width)).astype(np.float32)
    return rows


@settings(deadline=None, max_examples=40)
@given(samples=st.integers(2, 60), width=st.integers(1, 70), near=st.integers(0, 8), seed=st.integers(0, 99),
       share=st.sampled_from([0.05, 0.15, 0.9]))  # fmt: skip
def test_the_pairs_are_those_of_a_loop(samples: int, width: int, near: int, seed: int, share: float) -> None:
    rows = planted(samples, width, near=min(near, samples // 2), seed=seed)
    found = near_duplicates(rows, near=share)
    pairs = set(zip(found.pairs["sample_a"], found.pairs["sample_b"], strict=True))
    assert pairs == loop(rows, found.threshold)
    assert found.complete
    for a, b, distance in found.pairs.itertuples(index=False):
        assert distance == pytest.approx(np.linalg.norm(rows[a].astype(float) - rows[b]), rel=1e-6)


def test_wide_rows_are_searched_on_fewer_axes_and_none_is_lost() -> None:
    rows = planted(300, 400, near=40)
    found = near_duplicates(rows)
    assert set(zip(found.pairs["sample_a"], found.pairs["sample_b"], strict=True)) == {(i, 260 + i) for i in range(40)}
    assert found.pairs["distance"].is_monotonic_increasing


def test_groups_are_what_pairs_connect() -> None:
    rows = planted(100, 5, near=0)
    rows[40] = rows[3]
    rows[70] = rows[3]
    rows[9] = rows[8] + 1e-4
    groups = near_duplicates(rows).groups
    assert groups[3] == groups[40] == groups[70] >= 0
    assert groups[8] == groups[9] >= 0
    assert groups[3] != groups[8]
    assert (groups[[0, 1, 2]] == -1).all()


def test_a_blank_picture_that_is_there_often_makes_a_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = planted(2000, 4, near=0)
    rows[500:1500] = 0.0
    rows[700] = -0.0  # the same number
    found = near_duplicates(rows, near=0.0)
    assert len(found.pairs) == 999
    assert (found.pairs["distance"] == 0).all()
    assert len(np.unique(found.groups[500:1500])) == 1
    monkeypatch.setattr(duplicates, "MOST", 50)
    crowd = near_duplicates(np.concatenate([rows, 1e-5 * rows[:400]]), near=0.5)
    assert not crowd.complete
    assert len(crowd.pairs) == 50


def test_laws() -> None:
    """Another order, scale or place of the samples gives the same pairs; one more copy gives one pair more."""
    rows = planted(150, 12, near=10)
    order = np.random.default_rng(1).permutation(150)
    pairs = {frozenset(p) for p in near_duplicates(rows).pairs[["sample_a", "sample_b"]].to_numpy().tolist()}
    shuffled = near_duplicates(rows[order]).pairs[["sample_a", "sample_b"]].to_numpy()
    assert {frozenset(order[p].tolist()) for p in shuffled} == pairs
    for changed in (rows * 300, rows + 5):
        assert len(near_duplicates(changed).pairs) == len(pairs)
    assert len(near_duplicates(np.concatenate([rows, rows[50:51]])).pairs) == len(pairs) + 1


def test_conflicts_are_pairs_with_two_labels() -> None:
    rows = planted(40, 6, near=4)
    labels = np.arange(40) % 3
    labels[36:] = labels[:4]
    labels[37] = (labels[1] + 1) % 3
    labels[38] = -1
    found = near_duplicates(rows)
    assert len(found.pairs) == 4
    assert found.conflicts(labels)[["sample_a", "sample_b"]].to_numpy().tolist() == [[1, 37]]


def test_leaks_into_a_test_set() -> None:
    train = planted(200, 30, near=0)
    test = np.concatenate([planted(50, 30, near=0, seed=1), train[[7, 90]] + 1e-4])
    found = leaks(train, test)
    assert sorted(found[["train", "test"]].to_numpy().tolist()) == [[7, 50], [90, 51]]
    assert len(leaks(train, test[:50])) == 0
    assert len(leaks(train[:0], test)) == len(leaks(train, test[:0])) == 0
    with pytest.raises(InputError, match="as wide"):
        leaks(train, test[:, :3])


@pytest.mark.parametrize("samples", [0, 1, 2])
def test_few_samples(samples: int) -> None:
    found = near_duplicates(np.zeros((samples, 3)))
    assert len(found.pairs) == max(0, samples - 1)
    assert len(found.groups) == samples


def test_what_is_no_matrix_of_numbers_is_refused() -> None:
    with pytest.raises(InputError, match=r"\[sample, feature\]"):
        near_duplicates(np.zeros(5))
    bad = np.zeros((5, 2))
    bad[3, 1] = np.nan
    with pytest.raises(InputError, match="the first row 3"):
        near_duplicates(bad)
    assert len(near_duplicates(np.zeros((4, 2, 2, 3))).pairs) == 3  # pictures are flattened
