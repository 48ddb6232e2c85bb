"""What `end_epoch` returns, stores, and refuses."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gwa_attrib.errors import InputError, RunError
from gwa_attrib.recording.begin import record
from gwa_attrib.store import EpochSummary, open_run
from gwa_attrib.store.schema import SIGNALS
from gwa_attrib.store.summaries import COLUMNS, flat
from gwa_attrib.store.writer import RunWriter
from tests import loops, oracles
from tests.loops import Classifier


def test_the_summary_is_of_the_observations_of_the_epoch(tmp_path: Path) -> None:
    model, summaries = Classifier(), []
    with record(model, tmp_path / "run", num_samples=25) as recorder:
        optimizer = loops.sgd(model)
        for _ in range(3):
            for x, y in loops.loader():
                F.cross_entropy(model(x), y).backward()
                recorder.step(y, sample_ids=loops.told_ids(x))
                optimizer.step()
                optimizer.zero_grad()
            summaries.append(recorder.end_epoch())
    run = open_run(tmp_path / "run")
    pred = run.trajectory("pred")
    for epoch, (found, alignments) in enumerate(zip(summaries, run.trajectory("alignment"), strict=True)):
        values = oracles.seen(alignments.tolist())
        assert isinstance(found, EpochSummary)
        assert (found.epoch, found.n, found.coverage, found.undefined) == (epoch, 20, 0.8, 0)
        assert found.mean == pytest.approx(oracles.average(values))
        assert found.excess_kurtosis == pytest.approx(oracles.excess_kurtosis(values))
        assert found.gwa == pytest.approx(oracles.gwa(values))
        assert found.gwa_reliable == (found.excess_kurtosis >= -1)
        assert found.fraction_negative == oracles.fraction_negative(values)
        changes = None if epoch == 0 else np.nansum(pred[epoch][:20] != pred[epoch - 1][:20])
        assert found.prediction_changes == changes
        assert 0 < found.seconds < 60


def test_what_is_returned_is_what_is_stored(tmp_path: Path) -> None:
    model = Classifier()
    with record(model, tmp_path / "run", num_samples=loops.SAMPLES) as recorder:
        recorder.step(loops.backward(model, [0, 1, 2]), sample_ids=[0, 1, 2])
        found = recorder.end_epoch(val_accuracy=0.25)
        recorder.step(loops.backward(model, [0, 1, 2]), sample_ids=[0, 1, 2])
        recorder.end_epoch(val_accuracy=torch.tensor(0.5), other=3)
    frame = open_run(tmp_path / "run").epochs()
    first = frame.iloc[0]
    for name, value in flat(found).items():
        stored = first[name]
        same = (value is None and np.isnan(stored)) or stored == value or (math.isnan(value) and np.isnan(stored))
        assert same, (name, value, stored)
    assert frame["val_accuracy"].tolist() == [0.25, 0.5]
    np.testing.assert_array_equal(frame["other"], [np.nan, 3.0])


@pytest.mark.parametrize("name", [*COLUMNS, "probe"])
def test_a_metric_cannot_replace_what_is_measured(tmp_path: Path, name: str) -> None:
    model = Classifier()
    with record(model, tmp_path / "run", num_samples=loops.SAMPLES) as recorder:
        recorder.step(loops.backward(model, [0, 1, 2]), sample_ids=[0, 1, 2])
        with pytest.raises(InputError, match=name):
            recorder.end_epoch(**{name: 0.5})
        assert recorder.end_epoch(val_accuracy=1.0).n == 3


@pytest.mark.parametrize("value", ["high", None, [1.0, 2.0], torch.tensor([1.0, 2.0])])
def test_a_metric_that_is_no_number_is_refused_and_the_epoch_is_not_lost(tmp_path: Path, value: Any) -> None:
    model = Classifier()
    with record(model, tmp_path / "run", num_samples=loops.SAMPLES) as recorder:
        recorder.step(loops.backward(model, [0, 1, 2]), sample_ids=[0, 1, 2])
        with pytest.raises(InputError, match="accuracy"):
            recorder.end_epoch(accuracy=value)
        assert recorder.end_epoch().n == 3


def test_a_zero_gradient_is_counted_as_undefined(tmp_path: Path) -> None:
    """A sample whose features are all zero has no gradient at the head."""
    model = nn.Linear(loops.FEATURES, loops.CLASSES)
    x, y = torch.randn(6, loops.FEATURES), torch.arange(6) % 3
    x[[1, 4]] = 0.0
    with record(model, tmp_path / "run", num_samples=6) as recorder:
        F.cross_entropy(model(x), y).backward()
        recorder.step(y, sample_ids=range(6))
        found = recorder.end_epoch()
    run = open_run(tmp_path / "run")
    assert (found.n, found.undefined, found.coverage) == (4, 2, 1.0)
    assert np.isnan(run.trajectory("alignment")[0]).tolist() == [False, True, False, False, True, False]
    assert not np.isnan(run.trajectory("loss")).any()


def test_an_epoch_of_undefined_alignments_has_no_mean(tmp_path: Path) -> None:
    model = nn.Linear(loops.FEATURES, loops.CLASSES)
    nn.init.zeros_(model.weight)
    with record(model, tmp_path / "run", num_samples=2) as recorder:
        F.cross_entropy(model(torch.randn(2, loops.FEATURES)), torch.tensor([0, 1])).backward()
        recorder.step(torch.tensor([0, 1]), sample_ids=[0, 1])
        found = recorder.end_epoch()
    assert (found.n, found.undefined, found.gwa_reliable) == (0, 2, False)
    assert math.isnan(found.mean)
    assert math.isnan(found.fraction_negative)
    assert open_run(tmp_path / "run").epochs()["undefined"].tolist() == [2]


def test_an_end_that_fails_can_be_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever of its three files could not be written."""
    expected = loops.recorded(tmp_path / "expected", epochs=2)
    for broken in ("write_samples", "write_observations", "write_epoch"):
        model = Classifier()
        with record(model, tmp_path / broken, num_samples=loops.SAMPLES) as recorder:
            loops.train(recorder, model)
            _fail_once(monkeypatch, broken)
            with pytest.raises(RunError):
                loops.train(recorder, model)
            assert open_run(tmp_path / broken).trajectory("loss")[0].tolist() == expected.trajectory("loss")[0].tolist()
            found = recorder.end_epoch()
        loops.same_observations(open_run(tmp_path / broken), expected)
        assert found.prediction_changes == expected.epochs()["prediction_changes"][1]


def _fail_once(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    real = getattr(RunWriter, method)

    def fail(*_: Any) -> None:
        monkeypatch.setattr(RunWriter, method, real)
        raise RunError(expected="room", found="none", todo="Free space.")

    monkeypatch.setattr(RunWriter, method, fail)


@pytest.mark.parametrize("signals", [["margin"], ["alignment", "top_prob"], [], ["loss", "loss"]])
def test_only_the_chosen_signals_are_stored_and_the_alignment(tmp_path: Path, signals: list[str]) -> None:
    run = loops.recorded(tmp_path / "run", signals=signals)
    names = set(run.observations().column_names)
    assert names & set(SIGNALS) == {"alignment", *signals}
    assert not np.isnan(run.trajectory("alignment")).any()
    assert set(run.trajectory("correct").ravel()) <= {0.0, 1.0}
    with pytest.raises(OSError, match=r"grad_norm.*signals"):
        run.trajectory("grad_norm")


@pytest.mark.parametrize("signals", [["nonsense"], ["alignment", "Loss"], "loss"])
def test_unknown_signals_are_refused_with_the_known_ones(tmp_path: Path, signals: Any) -> None:
    with pytest.raises(InputError, match="alignment, loss, margin"):
        record(Classifier(), tmp_path / "run", num_samples=3, signals=signals)
    assert not (tmp_path / "run").exists()
