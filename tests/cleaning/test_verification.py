"""What training again shows: paired, resumable, on the same budget, with intervals that hold."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import gwa_attrib as gwa
from gwa_attrib.auditing.audited_model import AuditedModel
from gwa_attrib.auditing.training import Training, plan_for
from gwa_attrib.cleaning.decisions import Decisions, decisions_of
from gwa_attrib.errors import InputError, NotRecordedError
from gwa_attrib.evaluation import held_out
from gwa_attrib.evaluation.intervals import mean_of_both
from gwa_attrib.store import Run

TRUTH = "right"
FEATURES = 12


def clouds(folder: Path, name: str, samples: int, *, seed: int, share_wrong: float = 0.0, **changes: object) -> Path:
    """Three overlapping clouds of points, a table; some labels wrong."""
    rng = np.random.default_rng(seed)
    right = rng.integers(0, 3, samples)
    x = np.eye(3, FEATURES)[right] * 3 + rng.normal(size=(samples, FEATURES))
    given = np.where(rng.random(samples) < share_wrong, (right + rng.integers(1, 3, samples)) % 3, right)
    arrays = {"X": x, "y": given, TRUTH: right, **changes}
    np.savez(folder / f"{name}.npz", **arrays)
    return folder / f"{name}.npz"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("v")
    source = clouds(folder, "train", 600, seed=0, share_wrong=0.4)
    gwa.audit(source, folder / "run", epochs=10, budget="fast", truth=TRUTH)
    return gwa.open_run(folder / "run")


def wrong(run: Run) -> np.ndarray:
    return np.flatnonzero(run.samples[TRUTH].to_numpy() != run.labels)


@pytest.fixture(scope="module")
def perfect(run: Run) -> Decisions:
    """Every wrong label made right."""
    rows = wrong(run)
    labels = run.samples[TRUTH].to_numpy()[rows]
    return decisions_of(run, rows, ("relabel",) * len(rows), labels)


@pytest.fixture(scope="module")
def verified(run: Run, perfect: Decisions) -> gwa.Verification:
    return gwa.verify(run, perfect, truth=TRUTH, seeds=3)


def test_right_labels_help_and_random_removal_does_not(run: Run, verified: gwa.Verification) -> None:
    table = verified.table
    assert table.loc["decisions - as it is", "low"] > 0
    assert table.loc["decisions - random removal", "low"] > 0
    assert table.loc["random removal - as it is", "low"] < 0.02
    asked = held_out(run.samples[TRUTH].to_numpy())
    of_pool = len(set(wrong(run)) - set(asked.tolist()))
    assert verified.facts == {
        "by": "verified", "asked_of": TRUTH, "asked": 120, "trained_on": 480, "dropped": 0, "relabelled": of_pool,
        "seeds": 3, "also_trained_on": 0,
    }  # fmt: skip


def test_the_parts_agree_with_each_other(verified: gwa.Verification) -> None:
    accuracy, table, classes = verified.accuracy, verified.table, verified.classes
    for pair, change in table["change"].items():
        one, other = str(pair).split(" - ")
        assert change == pytest.approx(accuracy[one] - accuracy[other], abs=1e-6)
    weights = classes["asked"] / classes["asked"].sum()
    assert (weights * classes["before"]).sum() == pytest.approx(accuracy["as it is"])
    assert (weights * classes["change"]).sum() == pytest.approx(table.loc["decisions - as it is", "change"], abs=1e-6)


def test_a_call_that_was_cut_off_goes_on(
    run: Run, perfect: Decisions, verified: gwa.Verification, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = sorted((run.path / "verify").glob("*.npy"))
    assert len(files) == 9
    files[4].unlink()
    trainings = []
    train = AuditedModel.train_again

    def counted(self: AuditedModel, *rest: object, **more: object) -> object:
        trainings.append(1)
        return train(self, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(AuditedModel, "train_again", counted)
    again = gwa.verify(run, perfect, truth=TRUTH, seeds=3)
    assert len(trainings) == 1
    assert again.to_dict() == verified.to_dict()
    kept = json.loads((run.path / "verification.json").read_text(encoding="utf-8"))
    assert kept == {"run_id": run.info["run_id"], **verified.to_dict()}


def test_the_given_labels_are_asked_where_there_are_no_others(run: Run) -> None:
    found = gwa.verify(run, "drop", seeds=1)
    assert found.facts["by"] == "given"
    assert np.isnan(found.table["low"]).all()
    assert found.to_dict()["changes"][0]["low"] is None


def test_a_test_set_is_asked(run: Run, perfect: Decisions, tmp_path: Path) -> None:
    found = gwa.verify(run, perfect, test=clouds(tmp_path, "test", 200, seed=1), seeds=2)
    assert found.facts["by"] == "test"
    assert (found.facts["asked"], found.facts["trained_on"]) == (200, 600)
    assert found.accuracy["decisions"] > found.accuracy["as it is"]
    others: dict[str, dict[str, object]] = {
        "features": {"X": np.zeros((40, FEATURES - 1))},
        "classes": {"y": np.arange(40) % 4},
        "kind": {"X": np.zeros((40, 8, 8), dtype=np.uint8)},
    }
    for name, changes in others.items():
        with pytest.raises(InputError, match="a test set like"):
            gwa.verify(run, perfect, test=clouds(tmp_path, name, 40, seed=2, **changes), seeds=1)


def test_what_cannot_be_verified_is_refused(run: Run, tmp_path: Path) -> None:
    asked = held_out(run.labels.astype(np.int64))
    of_asked = decisions_of(run, asked[:1], ("drop",), np.array([-1]))
    kept = decisions_of(run, np.array([0]), ("keep",), run.labels[:1].astype(np.int64))
    for decisions in (of_asked, kept):
        with pytest.raises(InputError, match="0 dropped and 0 relabelled"):
            gwa.verify(run, decisions, seeds=1)
    with pytest.raises(InputError, match="0 seeds"):
        gwa.verify(run, "drop", seeds=0)
    with pytest.raises(InputError, match="nonsense"):
        gwa.verify(run, "drop", truth="nonsense", seeds=1)
    from tests.small_runs import blobs, record_run

    x, labels = blobs(60, 3, 6)
    with pytest.raises(NotRecordedError):
        gwa.verify(record_run(tmp_path / "r", x, labels, "abc"), "drop", seeds=1)


def test_trainings_on_fewer_samples_take_as_many_steps() -> None:
    import torch

    x, y = torch.randn(50, 3), torch.arange(50) % 2
    plan = plan_for("table", (3,), 50, epochs=2)
    make = lambda n: Training(torch.nn.Linear(3, 2), x[:n], y[:n], plan, 0, draw=50)  # noqa: E731
    assert make(30).steps == make(50).steps
    drawn = torch.cat([batch[0] for batch in make(20).loader])
    seen = torch.unique(drawn, dim=0, return_counts=True)[1]
    assert set(seen.tolist()) == {2, 3}
    assert len(drawn) == 50


def test_the_interval_holds_for_other_trainings_and_other_samples() -> None:
    """Of the mean of seed + sample + noise, the true mean of which is known: 95 % of the intervals hold it."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(1000):
        effects = rng.normal(0, 0.2, (5, 1)) + rng.normal(0, 1.0, (1, 80)) + rng.normal(0, 0.5, (5, 80))
        mean, low, high = mean_of_both(0.3 + effects)
        assert low < mean < high
        held += low <= 0.3 <= high
    assert 930 <= held <= 1000
    assert mean_of_both(np.full((3, 9), 0.25)) == (0.25, 0.25, 0.25)
    assert np.isnan(mean_of_both(np.ones((1, 9)))[1:]).all()


def test_a_test_set_that_was_trained_on_is_refused_and_a_shared_part_is_counted(tmp_path: Path) -> None:
    """The labels in doubt must not be the judges of their own correction."""
    trained = clouds(tmp_path, "trained", 120, seed=1)
    gwa.audit(trained, tmp_path / "run", epochs=2, budget="fast")
    run = gwa.open_run(tmp_path / "run")
    decided = decisions_of(run, np.array([3, 5]), ("drop", "drop"), np.array([-1, -1]))
    with np.load(trained) as there:
        half = {name: values[:60] for name, values in there.items()}
    np.savez(tmp_path / "half.npz", **half)
    for test in (trained, str(tmp_path / "half.npz")):
        with pytest.raises(InputError, match="among those that were audited"):
            gwa.verify(run, decided, test=test, seeds=1)
    with np.load(clouds(tmp_path, "new", 40, seed=2)) as new:
        mixed = {name: np.concatenate([values[:7], new[name]]) for name, values in half.items()}
    np.savez(tmp_path / "mixed.npz", **mixed)
    found = gwa.verify(run, decided, test=str(tmp_path / "mixed.npz"), seeds=1)
    assert found.facts["also_trained_on"] == 7
    assert "7\u00a0samples of the test set are among the samples that were trained on" in gwa.report(run).read_text(
        "utf-8"
    )
    assert gwa.verify(run, decided, test=clouds(tmp_path, "other", 40, seed=3), seeds=1).facts["also_trained_on"] == 0


def test_rows_that_are_equal_by_chance_are_no_reason_to_refuse(tmp_path: Path) -> None:
    """A table of few categories."""
    generator = np.random.default_rng(0)
    for name, rows in (("train", 120), ("test", 30)):
        table = pd.DataFrame({column: generator.choice(["x", "y"], rows) for column in ("a", "b")})
        table["label"] = np.where(table["a"] == "x", "one", "two")
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    gwa.audit(tmp_path / "train.csv", tmp_path / "run", label_column="label", epochs=2, budget="fast")
    run = gwa.open_run(tmp_path / "run")
    decided = decisions_of(run, np.array([3, 5]), ("drop", "drop"), np.array([-1, -1]))
    found = gwa.verify(run, decided, test=str(tmp_path / "test.csv"), seeds=2)
    assert found.facts["also_trained_on"] == 30
    assert found.shows_nothing == bool((found.table[["change", "low", "high"]] == 0).all(axis=None))
