"""Harmful samples: conflicts between near-duplicates are decided by the odds, and every reason has its cause."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import gwa_attrib as gwa
from gwa_attrib.analyses.harmful import REASONS, most_trusted_rival
from gwa_attrib.errors import InputError, RunFormatError
from gwa_attrib.store import Run
from gwa_attrib.store.kept import keep_duplicates, keep_features, kept_duplicates, kept_features
from tests.small_runs import blobs, record_run

SAMPLES = 240


def data() -> tuple[torch.Tensor, torch.Tensor]:
    """Samples 200 to 219 are copies of 100 to 119 with another label; 239 lies far away from its class, in another."""
    x, labels = blobs(SAMPLES, 4, 10)
    x[200:220] = x[100:120]
    labels[200:220] = (labels[100:120] + 1) % 4
    x[239] = -2.5 * x[labels == labels[239]].mean(dim=0)
    return x, labels


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return record_run(tmp_path_factory.mktemp("h") / "run", *data(), "abcd", epochs=8)


def test_of_two_copies_the_one_with_the_wrong_label_is_harmful(run: Run) -> None:
    scores = gwa.rank(run, "harmful", features=data()[0].numpy())
    frame = scores.to_frame()
    wrong, right = frame.loc[200:219], frame.loc[100:119]
    assert (wrong["near_duplicate"].to_numpy() == np.arange(100, 120)).all()
    assert wrong["reason"].str.contains("near-duplicate with another label").all()
    assert not right["reason"].str.contains("near-duplicate").any()
    odds = gwa.rank(run).values
    np.testing.assert_allclose(
        wrong["harmful"], np.maximum(odds[200:220], odds[200:220] - odds[100:120]), rtol=1e-5, atol=1e-5
    )
    assert wrong["harmful"].min() > right["harmful"].max()
    others = np.setdiff1d(np.arange(SAMPLES), [*range(100, 120), *range(200, 220)])
    np.testing.assert_array_equal(scores.values[others], odds[others])
    assert set(frame["near_duplicate"].iloc[others]) == {-1}
    assert scores.meta["counts"]["near-duplicate with another label"] == 20
    assert all(set(filter(None, reason.split("; "))) <= set(REASONS) for reason in frame["reason"])


def test_an_outlier_that_is_never_learnt_is_called_so(run: Run) -> None:
    frame = gwa.rank(run, "harmful", features=data()[0].numpy()).to_frame()
    assert frame["outlier_distance"].idxmax() == 239
    assert "hard outlier" in frame.loc[239, "reason"]
    assert (frame["reason"] == "").sum() > 150


def test_without_features_it_ranks_as_mislabeled_does(run: Run) -> None:
    scores = gwa.rank(run, "harmful")
    np.testing.assert_array_equal(scores.values, gwa.rank(run).values)
    assert np.isnan(scores.columns["outlier_distance"]).all()


def test_the_most_trusted_rival_is_that_of_a_loop() -> None:
    rng = np.random.default_rng(0)
    labels, odds = rng.integers(-1, 3, 40), rng.normal(size=40).round(1)
    odds[[3, 9]] = np.nan
    pairs = pd.DataFrame(rng.integers(0, 40, (150, 2)), columns=["sample_a", "sample_b"])
    expected = np.full(40, -1)
    for i in range(40):
        near = {b for a, b in pairs.to_numpy() if a == i} | {a for a, b in pairs.to_numpy() if b == i}
        rivals = [j for j in near if labels[j] != labels[i] and labels[i] >= 0 <= labels[j] and odds[j] == odds[j]]
        if rivals:
            expected[i] = min(rivals, key=lambda j: (odds[j], j))
    np.testing.assert_array_equal(most_trusted_rival(pairs, labels, odds), expected)


def test_what_an_audit_kept_is_used(run: Run, tmp_path: Path) -> None:
    x, labels = data()
    own = record_run(tmp_path / "run", x, labels, "abcd", epochs=8)
    keep_features(own.path, x.numpy())
    keep_duplicates(own.path, gwa.near_duplicates(x.numpy()).pairs)
    one, other = gwa.rank(own, "harmful"), gwa.rank(run, "harmful", features=x.numpy())
    np.testing.assert_array_equal(one.columns["reason"], other.columns["reason"])
    np.testing.assert_allclose(one.columns["outlier_distance"], other.columns["outlier_distance"], rtol=1e-2)
    record_run(own.path, x, labels, "abcd", epochs=1, overwrite=True)
    assert not (own.path / "features.npy").exists()


def test_an_audit_keeps_where_its_samples_lie(tmp_path: Path) -> None:
    x, labels = data()
    np.savez(tmp_path / "d.npz", X=x.numpy(), y=labels.numpy())
    gwa.audit(tmp_path / "d.npz", tmp_path / "run", epochs=3, budget="fast")
    run = gwa.open_run(tmp_path / "run")
    pairs = kept_duplicates(run)
    assert pairs is not None
    assert {(a, b) for a, b, _ in pairs.itertuples(index=False)} >= {(i, i + 100) for i in range(100, 120)}
    features = kept_features(run)
    assert features is not None
    assert features.shape[0] == SAMPLES
    assert gwa.rank(run, "harmful").meta["counts"]["near-duplicate with another label"] >= 15


def test_damaged_files_are_named(tmp_path: Path) -> None:
    run = record_run(tmp_path / "run", *blobs(30, 3, 3), "abc", epochs=1)
    for content in (b"", b"nonsense", np.zeros(3).tobytes()):
        (run.path / "features.npy").write_bytes(content)
        with pytest.raises(RunFormatError, match=r"features\.npy"):
            gwa.rank(run, "harmful")
    keep_features(run.path, np.zeros((29, 2), dtype=np.float32))
    with pytest.raises(RunFormatError, match="29 rows for 30"):
        gwa.rank(run, "harmful")
    keep_features(run.path, np.full((30, 2), 1e9, dtype=np.float32))
    assert np.isfinite(kept_features(run)).all()  # type: ignore[arg-type]
    (run.path / "duplicates.parquet").write_bytes(b"PAR1nonsense")
    with pytest.raises(RunFormatError, match=r"duplicates\.parquet"):
        gwa.rank(run, "harmful")
    keep_duplicates(run.path, pd.DataFrame({"sample_a": [1], "sample_b": [99], "distance": [0.0]}))
    with pytest.raises(RunFormatError, match="does not have"):
        gwa.rank(run, "harmful")
    with pytest.raises(InputError, match="2 rows"):
        gwa.rank(run, "harmful", features=np.zeros((2, 2)))
