"""Each proxy against its definition."""

import math
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import torch

import gwa_attrib as gwa
from gwa_attrib.errors import InputError, NotRecordedError, RunFormatError, UnknownNameError
from gwa_attrib.stopping import proxies
from gwa_attrib.stopping.proxy_measures import pre_memorized
from gwa_attrib.store import Run, open_run
from tests import loops
from tests.stopping.histories import history

MEASURES = ["gradient_disparity", "llid", "pid", "spectrum", "projected_alignment"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Recorded with everything there is."""
    path = tmp_path_factory.mktemp("proxies") / "run"
    return loops.recorded(path, epochs=4, probe=True, measures=MEASURES)


@pytest.mark.parametrize("name", proxies.names())
def test_every_proxy_gives_a_number_for_each_epoch(run: Run, name: str) -> None:
    found = gwa.measure(run, name)
    assert found.index.tolist() == [0, 1, 2, 3]
    assert found.index.name == "epoch"
    assert found.name == name
    assert np.isfinite(found.to_numpy()[1:]).any()
    assert proxies[name].suspect in ("low", "high")
    assert proxies[name].source


@pytest.mark.parametrize("prefix", ["", "probe_"])
def test_gwa_is_the_mean_over_the_kurtosis_that_scipy_gives(run: Run, prefix: str) -> None:
    for epoch, value in gwa.measure(run, f"{prefix}gwa").items():
        table = run.observations(["alignment"], epoch=epoch, table="probe" if prefix else "observations")
        alignment = table["alignment"].to_numpy().astype(np.float64)
        kurtosis = scipy.stats.kurtosis(alignment)
        expected = alignment.mean() / (kurtosis + 1.2) if kurtosis >= -1 else math.nan
        assert value == pytest.approx(expected, rel=1e-6, nan_ok=True)
        bounded = gwa.measure(run, f"{prefix}bounded_gwa")[epoch]
        assert bounded == pytest.approx(alignment.mean() / scipy.stats.kurtosis(alignment, fisher=False), rel=1e-6)


def test_gwa_near_its_pole_is_not_a_number_and_the_bounded_one_is(tmp_path: Path) -> None:
    run = history(tmp_path / "run", [0.3, 0.3, 0.3], kurtosis=[-1.5, -1.1, 0.0])
    np.testing.assert_allclose(gwa.measure(run, "gwa"), [np.nan, np.nan, 0.25])
    np.testing.assert_allclose(gwa.measure(run, "bounded_gwa"), [0.2, 0.3 / 1.9, 0.1])


def test_label_wave_is_a_trailing_mean_without_the_first_epoch(tmp_path: Path) -> None:
    run = history(tmp_path / "run", [0.0] * 6, changed=[None, 90, 60, 30, 60, 0])
    np.testing.assert_allclose(gwa.measure(run, "label_wave"), [np.nan, 90, 75, 60, 50, 30])


def test_accuracies_and_losses_are_those_of_the_observations(run: Run) -> None:
    correct, loss = run.trajectory("correct"), run.trajectory("loss")
    np.testing.assert_allclose(gwa.measure(run, "train_accuracy"), correct.mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(gwa.measure(run, "train_loss"), loss.mean(axis=1), rtol=1e-5)


def naive_pre_memorization(correct: np.ndarray, loss: np.ndarray, threshold: float) -> list[float]:
    values = []
    for j in range(len(correct)):
        of_samples = []
        for i in range(correct.shape[1]):
            if math.isnan(correct[j, i]):
                continue
            reached = max(
                [correct[k, i] for k in range(j + 1) if not math.isnan(correct[k, i]) and loss[k, i] >= threshold],
                default=0.0,
            )
            of_samples.append(min(reached, correct[j, i]))
        values.append(float(np.mean(of_samples)))
    return values


def test_pre_memorization_accuracy_of_a_constructed_example() -> None:
    """One sample each: learnt and not memorised; memorised before it was right; forgotten; never right; unseen."""
    nan = math.nan
    correct = np.array([[1, 0, 1, 0, nan], [1, 1, 1, 0, 1], [1, 1, 0, 0, 1]], dtype=np.float64)
    loss = np.array([[0.5, 0.9, 0.3, 2.0, nan], [0.2, 0.01, 0.05, 2.0, 0.4], [0.01, 0.01, 0.9, 2.0, 0.01]])
    before, found = None, []
    for row, losses in zip(correct, loss, strict=True):
        value, before = pre_memorized(row, losses, before, 0.1)
        found.append(value)
    assert found == pytest.approx([2 / 4, 3 / 5, 2 / 5])
    assert found == pytest.approx(naive_pre_memorization(correct, loss, 0.1))


def test_pre_memorization_accuracy_of_a_run(run: Run) -> None:
    expected = naive_pre_memorization(run.trajectory("correct"), run.trajectory("loss"), math.exp(-2.3))
    np.testing.assert_allclose(gwa.measure(run, "pre_memorization_accuracy"), expected, rtol=1e-6)


def test_what_was_not_recorded_says_how_it_is(tmp_path: Path) -> None:
    run = loops.recorded(tmp_path / "run", epochs=2)
    for name in ("gradient_disparity", "llid", "pid", "sve", "lsvr", "projected_alignment"):
        with pytest.raises(NotRecordedError, match="measures="):
            gwa.measure(run, name)
    for name in ("probe_gwa", "probe_alignment", "probe_bounded_gwa", "probe_label_wave"):
        with pytest.raises(NotRecordedError, match="probe=2000"):
            gwa.measure(run, name)
    without_loss = loops.recorded(tmp_path / "other", epochs=2, signals=["alignment"])
    with pytest.raises(NotRecordedError, match="signals"):
        gwa.measure(without_loss, "train_loss")


def test_names_and_runs_that_do_not_exist(tmp_path: Path) -> None:
    run = loops.recorded(tmp_path / "run")
    with pytest.raises(UnknownNameError, match="mean_alignment"):
        gwa.measure(run, "accuracy")
    with pytest.raises(UnknownNameError, match="gradient_disparity"):
        gwa.record(loops.Classifier(), tmp_path / "x", num_samples=3, probe=2, measures=["disparity"])
    assert not (tmp_path / "x").exists()
    with gwa.record(loops.Classifier(), tmp_path / "empty", num_samples=3):
        pass
    with pytest.raises(RunFormatError, match="end_epoch"):
        gwa.measure(open_run(tmp_path / "empty"))
    assert issubclass(NotRecordedError, InputError)


def test_measures_of_the_epoch_are_those_of_the_functions(tmp_path: Path) -> None:
    """Recomputed from the model as it is at the end of the epoch."""
    from gwa_attrib.functional.feature_geometry import spectrum, subsampled_two_nn

    model, data = loops.Classifier(), loops.Told()
    with gwa.record(model, tmp_path / "run", num_samples=20, probe=True, measures=MEASURES) as recorder:
        loops.train(recorder, model, epochs=1)
    row = open_run(tmp_path / "run").epochs().iloc[0]
    model.eval()
    with torch.no_grad():
        features = model.features(data.x)
    assert row["llid"] == pytest.approx(subsampled_two_nn(features.numpy()).dimension, rel=1e-4)
    assert (row["sve"], row["lsvr"]) == pytest.approx(tuple(spectrum(features)), rel=1e-4)
    assert row["pid"] >= row["llid"] * 0.5
    assert -1 <= row["projected_alignment"] <= 1
    assert row["projected_alignment"] != pytest.approx(row["probe_mean"])


def test_of_two_samples_there_is_no_dimension(tmp_path: Path) -> None:
    run = loops.recorded(tmp_path / "run", epochs=1, probe=2, measures=["llid", "pid"])
    assert run.epochs()[["llid", "pid"]].isna().all(axis=None)


def test_equal_batches_have_no_disparity(tmp_path: Path) -> None:
    data = loops.Told()
    data.x[:] = data.x[0]
    data.y[:] = 1
    run = loops.recorded(tmp_path / "run", batches=loops.loader(data, 4), probe=True, measures=["gradient_disparity"])
    assert float(gwa.measure(run, "gradient_disparity").iloc[0]) == pytest.approx(0.0, abs=1e-6)
