"""Groups against a loop over them."""

from pathlib import Path

import numpy as np
import pytest

import gwa_attrib as gwa
from gwa_attrib.errors import InputError, NotRecordedError
from gwa_attrib.store import Run
from tests.small_runs import blobs, record_run

SAMPLES = 300


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The first 30 labels are wrong; they come from site "b" mostly."""
    x, labels = blobs(SAMPLES, 4, 30)
    site = np.where(np.arange(SAMPLES) < 25, "b", np.where(np.arange(SAMPLES) % 3 == 0, "a", "c"))
    columns = {"site": site, "age": np.arange(SAMPLES) / 10, "name": [f"n{i}" for i in range(SAMPLES)],
               "one": ["x"] * SAMPLES}  # fmt: skip
    return record_run(tmp_path_factory.mktemp("g") / "run", x, labels, "wxyz", columns=columns)


def test_each_row_is_that_of_a_loop(run: Run) -> None:
    scores = gwa.rank(run)
    wrong = 1 - np.asarray(scores.columns["label_score"], dtype=float)
    table = gwa.groups(run, "site")
    assert set(table.index) == {"a", "b", "c"}
    for name, row in table.iterrows():
        inside = (run.samples["site"] == name).to_numpy()
        mine, rest = wrong[inside], wrong[~inside]
        error = np.sqrt(mine.var(ddof=1) / len(mine) + rest.var(ddof=1) / len(rest))
        excess = mine.mean() - rest.mean()
        expected = [inside.sum(), scores.columns["is_label_issue"][inside].sum(), mine.sum(), mine.mean(), excess]
        expected += [excess - 1.96 * error, excess + 1.96 * error]
        np.testing.assert_allclose(row.to_numpy()[:-1].astype(float), expected, rtol=1e-5)
        assert row["alignment"] == pytest.approx(run.trajectory("alignment")[:, inside].mean(), rel=1e-5)


def test_the_harmful_group_is_first_and_surely_worse(run: Run) -> None:
    table = gwa.groups(run, "site")
    assert table.index[0] == "b"
    assert table.loc["b", "low"] > 0.5
    assert table.loc["c", "high"] < 0


def test_numbers_are_cut_into_tenths(run: Run) -> None:
    table = gwa.groups(run, "age")
    assert len(table) == 10
    assert table["samples"].sum() == SAMPLES
    assert table.index[0].startswith("-0.001 to") or table.index[0].startswith("-0.")


def test_classes_pairs_and_clusters(run: Run) -> None:
    assert gwa.groups(run)["samples"].sum() == SAMPLES
    pairs = gwa.groups(run, "class pair")
    assert pairs["issues"].sum() == gwa.rank(run).columns["is_label_issue"].sum()
    assert all(" → " in name for name in pairs.index)
    x, _ = blobs(SAMPLES, 4, 30)
    table = gwa.groups(run, "cluster", features=x.numpy(), clusters=4)
    assert len(table) == 4
    assert table["samples"].sum() == SAMPLES
    assert len(gwa.groups(run, "cluster", features=np.ones((SAMPLES, 2)))) == 1


def test_one_group_has_no_elsewhere(run: Run) -> None:
    table = gwa.groups(run, "one")
    assert len(table) == 1
    assert np.isnan(table.loc["x", "excess"])


def test_what_is_no_group_is_refused(run: Run) -> None:
    with pytest.raises(InputError, match="site, age, name, one"):
        gwa.groups(run, "nonsense")
    with pytest.raises(InputError, match="different values"):
        gwa.groups(run, "name")
    with pytest.raises(NotRecordedError, match="features"):
        gwa.groups(run, "cluster")
    with pytest.raises(InputError, match="3 rows"):
        gwa.groups(run, "cluster", features=np.zeros((3, 2)))


def test_samples_that_were_never_seen_are_left_out(tmp_path: Path) -> None:
    x, labels = blobs(60, 3, 6)
    run = record_run(tmp_path / "run", x, labels, "abc", epochs=2, seen=[np.arange(50)] * 2)
    assert gwa.groups(run)["samples"].sum() == 50
