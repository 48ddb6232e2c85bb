"""Every registered analysis, on a run of a real training, against the trajectories it is made of."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Subset, TensorDataset

import gwa_attrib as gwa
from gwa_attrib.analyses import analyses
from gwa_attrib.errors import NotRecordedError, RunFormatError, UnknownNameError
from gwa_attrib.functional.observation import margin

EPOCHS, SAMPLES, CLASSES = 4, 61, 3


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> gwa.Run:
    torch.manual_seed(0)
    x = torch.randn(SAMPLES, 5)
    y = (x[:, 0] > 0).long() + (x[:, 1] > 0.5).long()
    model = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, CLASSES))
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    path = tmp_path_factory.mktemp("runs") / "run"
    with gwa.record(model, path, num_samples=SAMPLES, optimizer=optimizer) as recorder:
        for _ in range(EPOCHS):
            for xb, yb in recorder.batches(DataLoader(TensorDataset(x, y), 16, shuffle=True, drop_last=True)):
                F.cross_entropy(model(xb), yb).backward()
                recorder.step(yb)
                optimizer.step()
                optimizer.zero_grad()
            recorder.end_epoch()
    return gwa.open_run(path)


@pytest.mark.parametrize("name", analyses.names())
def test_every_analysis_scores_every_sample_and_states_its_direction(run: gwa.Run, name: str) -> None:
    scores = gwa.rank(run, name)
    assert scores.method == name
    assert scores.suspect == analyses[name].suspect
    assert scores.meta["source"]
    assert scores.values.shape == (SAMPLES,)
    never = np.isnan(run.trajectory("loss")).all(axis=0)
    np.testing.assert_array_equal(np.isnan(scores.values), never)
    assert len(scores.to_frame()) == SAMPLES


def test_aum_of_the_packages_own_fixture(tmp_path: Path) -> None:
    """What the package `aum` is tested with (its test/test_aum.py): three logits of three samples, seen in two calls.

    There sample b has another label in the second call, which a run refuses: its second margin stands alone.
    """
    logits = torch.tensor([[1.0, 2.0, 3.0], [6.0, 5.0, 4.0], [12.0, 11.0, 10.0]])
    data = TensorDataset(logits, torch.tensor([1, 0, 1]))
    model = nn.Linear(3, 3)
    with torch.no_grad():
        model.weight.copy_(torch.eye(3))
        model.bias.zero_()
    with gwa.record(model, tmp_path / "run", num_samples=3) as recorder:
        for ids in ([0, 1], [2]):
            for x, y in recorder.batches(DataLoader(Subset(data, ids), 2)):
                F.cross_entropy(model(x), y).backward()
                recorder.step(y)
            recorder.end_epoch()
    assert gwa.rank(gwa.open_run(tmp_path / "run"), "aum").values.tolist() == [-1.0, 1.0, -1.0]
    assert margin(torch.tensor([[7.0, 8.0, 9.0]]), torch.tensor([2])).item() == 1.0


MEANS = {"alignment": "alignment", "aum": "margin", "confidence": "p_label", "el2n": "el2n", "loss": "loss"}


@pytest.mark.parametrize("name", MEANS)
def test_a_mean_is_the_mean_of_what_was_seen(run: gwa.Run, name: str) -> None:
    rows = run.observations().to_pandas().groupby("sample_id")[MEANS[name]].mean()
    scores = gwa.rank(run, name)
    np.testing.assert_allclose(scores.values[rows.index], rows, rtol=1e-5)


def test_average_margin_is_the_margin_of_the_averaged_probabilities(run: gwa.Run) -> None:
    rows = run.observations().to_pandas()
    found = gwa.rank(run, "average_margin").values
    for sample, group in rows.groupby("sample_id"):
        p = np.zeros(CLASSES)  # all of them are among the five likeliest
        for classes, values in zip(group["top_class"], group["top_prob"], strict=True):
            p[np.asarray(classes)] += np.asarray(values, dtype=np.float64) / len(group)
        label = group["label"].iloc[0]
        expected = np.log(p[label]) - np.log(np.delete(p, label).max())
        assert found[sample] == pytest.approx(expected, abs=5e-3)  # probabilities are stored as float16


def test_head_tracin_sums_the_squared_norms_with_the_learning_rates(run: gwa.Run) -> None:
    rows = run.observations().to_pandas()
    expected = (rows["learning_rate"] * rows["grad_norm"] ** 2).groupby(rows["sample_id"]).sum()
    np.testing.assert_allclose(gwa.rank(run, "head_tracin").values[expected.index], expected, rtol=1e-5)


def test_head_tracin_needs_the_optimizer(tmp_path: Path) -> None:
    model = nn.Linear(2, 2)
    with gwa.record(model, tmp_path / "run", num_samples=4) as recorder:
        F.cross_entropy(model(torch.randn(4, 2)), torch.tensor([0, 1, 0, 1])).backward()
        recorder.step(torch.tensor([0, 1, 0, 1]), sample_ids=[0, 1, 2, 3])
        recorder.end_epoch()
    with pytest.raises(NotRecordedError, match="optimizer=optimizer"):
        gwa.rank(gwa.open_run(tmp_path / "run"), "head_tracin")


def test_forgetting_counts_steps_from_right_to_wrong(run: gwa.Run) -> None:
    found = gwa.rank(run, "forgetting_events").values
    rows = run.observations(["sample_id", "epoch", "pred", "label"]).to_pandas().sort_values("epoch")
    for sample, group in rows.groupby("sample_id"):
        right = (group["pred"] == group["label"]).tolist()
        events = sum(a and not b for a, b in itertools.pairwise(right))
        assert found[sample] == (events if any(right) else EPOCHS)


def test_an_option_of_an_analysis_reaches_it(run: gwa.Run) -> None:
    default, infinite = gwa.rank(run, "forgetting_events"), gwa.rank(run, "forgetting_events", never_learnt=np.inf)
    never = gwa.rank(run, "correctness").values == 0
    assert (default.values[never] == EPOCHS).all()
    assert np.isinf(infinite.values[never]).all()


def test_an_unknown_analysis_is_refused_with_the_known_ones(run: gwa.Run) -> None:
    with pytest.raises(UnknownNameError, match=r"mislabeled, .*alignment, aum") as error:
        gwa.rank(run, "leverage")
    assert "leverage" in str(error.value)


def test_a_signal_that_was_not_recorded_is_refused(tmp_path: Path) -> None:
    model = nn.Linear(2, 2)
    with gwa.record(model, tmp_path / "run", num_samples=4, signals=["loss"]) as recorder:
        F.cross_entropy(model(torch.randn(4, 2)), torch.tensor([0, 1, 0, 1])).backward()
        recorder.step(torch.tensor([0, 1, 0, 1]), sample_ids=[0, 1, 2, 3])
        recorder.end_epoch()
    run = gwa.open_run(tmp_path / "run")
    assert len(gwa.rank(run, "loss")) == len(gwa.rank(run, "alignment")) == 4
    with pytest.raises(RunFormatError, match="margin"):
        gwa.rank(run, "aum")
