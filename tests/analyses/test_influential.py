"""Shares in the growth of the squared weight norm, against a loop that trains by hand, and the law they obey."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import gwa_attrib as gwa
from gwa_attrib.errors import NotRecordedError, RunFormatError

SAMPLES, FEATURES, CLASSES = 90, 6, 3


def problem(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(SAMPLES, FEATURES, generator=generator)
    return x, (x[:, 0] > 0).long() + (x[:, 1] > 0.4).long()


def train(path: Path, make: Any, *, epochs: int = 4, batch: int = 32, unseen: int = 0, **recording: Any) -> gwa.Run:
    """Softmax regression, recorded; the last `unseen` samples are never seen."""
    x, y = problem()
    torch.manual_seed(1)
    model = nn.Linear(FEATURES, CLASSES)
    optimizer = make(model.parameters())
    generator = torch.Generator().manual_seed(2)
    recording = {"optimizer": optimizer, **recording}
    with gwa.record(model, path, num_samples=SAMPLES, overwrite=True, **recording) as recorder:
        for _ in range(epochs):
            for ids in torch.randperm(SAMPLES - unseen, generator=generator).split(batch):
                optimizer.zero_grad()
                F.cross_entropy(model(x[ids]), y[ids]).backward()
                recorder.step(y[ids], sample_ids=ids)
                optimizer.step()
            recorder.end_epoch()
    return gwa.open_run(path)


def loop(rate: float, *, epochs: int = 4, batch: int = 32) -> tuple[np.ndarray, float]:
    """The same training in float64, sample by sample: growths, and that of the squared norm until the last step."""
    x, y = problem()
    torch.manual_seed(1)
    model = nn.Linear(FEATURES, CLASSES)
    weight, bias = model.weight.detach().double(), model.bias.detach().double()
    generator = torch.Generator().manual_seed(2)
    growth, norms = np.zeros(SAMPLES), []
    for _ in range(epochs):
        for ids in torch.randperm(SAMPLES, generator=generator).split(batch):
            norms.append(float(weight.square().sum()))
            step_w, step_b = torch.zeros_like(weight), torch.zeros_like(bias)
            for i in ids.tolist():
                h = x[i].double()
                residual = torch.softmax(weight @ h + bias, 0) - F.one_hot(y[i], CLASSES)
                gradient = torch.outer(residual, h)
                growth[i] += 2 * rate / len(ids) * float((-gradient * weight).sum())
                step_w, step_b = step_w + gradient / len(ids), step_b + residual / len(ids)
            weight, bias = weight - rate * step_w, bias - rate * step_b
    return growth, norms[-1] - norms[0]


def test_every_share_is_that_of_a_loop(tmp_path: Path) -> None:
    run = train(tmp_path / "run", lambda p: torch.optim.SGD(p, 0.2))
    scores = gwa.rank(run, "influential")
    growth, seen = loop(0.2)
    np.testing.assert_allclose(scores.values, growth, rtol=1e-4, atol=1e-6)
    assert scores.meta["conservation"]["seen"] == pytest.approx(seen, rel=1e-4)
    assert scores.suspect == "high"
    labels = run.labels
    for label in range(CLASSES):
        of_class = growth[labels == label]
        expected = of_class / of_class.sum() if of_class.sum() > 0 else np.full(len(of_class), np.nan)
        np.testing.assert_allclose(scores.columns["share_of_class"][labels == label], expected, rtol=1e-3)
    alignment = run.trajectory("alignment")
    np.testing.assert_allclose(scores.columns["alignment_early"], alignment[0], rtol=1e-5)
    np.testing.assert_allclose(scores.columns["alignment_late"], alignment[-1], rtol=1e-5)


def residual(path: Path, make: Any, **more: Any) -> float:
    return float(gwa.rank(train(path, make, **more), "influential").meta["conservation"]["residual"])


def test_the_law_holds_the_better_the_smaller_the_steps(tmp_path: Path) -> None:
    """Half the rate, twice the steps, half the residual: what is left is of the second order."""
    found = [
        residual(tmp_path / "r", lambda p, r=rate: torch.optim.SGD(p, r), epochs=round(4 / rate), batch=45)
        for rate in (0.4, 0.2, 0.1, 0.05)
    ]
    for coarse, fine in itertools.pairwise(found):
        assert 0.4 < fine / coarse < 0.6
    assert found[-1] < 0.02


def test_decay_and_momentum_are_accounted_for(tmp_path: Path) -> None:
    """Weight decay exactly, so that its residual is that of a training without; momentum by its whole length."""
    long = {"epochs": 80, "batch": 45}
    plain = residual(tmp_path / "r", lambda p: torch.optim.SGD(p, 0.05), **long)
    decay = residual(tmp_path / "r", lambda p: torch.optim.SGD(p, 0.05, weight_decay=0.02), **long)
    heavy = residual(tmp_path / "r", lambda p: torch.optim.SGD(p, 0.025, momentum=0.5), **long)
    assert plain < 0.02
    assert decay < 0.03
    assert heavy < 0.05
    run = train(tmp_path / "r", lambda p: torch.optim.SGD(p, 0.01, weight_decay=0.05, momentum=0.5))
    assert run.info["optimizer"] == {"name": "SGD", "momentum": 0.5, "weight_decay": 0.05}
    assert "momentum 0.5 and weight decay 0.05" in gwa.rank(run, "influential").meta["conservation"]["rule"]


def test_of_another_optimizer_the_residual_is_reported(tmp_path: Path) -> None:
    run = train(tmp_path / "r", lambda p: torch.optim.Adam(p, 0.01))
    found = gwa.rank(run, "influential").meta["conservation"]
    assert "Adam" in found["rule"]
    assert np.isfinite(found["residual"])


def test_what_pulls_against_the_weights_has_a_negative_share(tmp_path: Path) -> None:
    x, y = problem()
    sure = (x[:, 0].abs() > 0.5) & ((x[:, 1] - 0.4).abs() > 0.5)
    wrong = sure.nonzero().flatten()[:8]
    flipped = y.clone()
    flipped[wrong] = (y[wrong] + 1) % CLASSES
    model = nn.Linear(FEATURES, CLASSES)
    optimizer = torch.optim.SGD(model.parameters(), 0.5)
    with gwa.record(model, tmp_path / "r", num_samples=SAMPLES, optimizer=optimizer) as recorder:
        for _ in range(40):
            optimizer.zero_grad()
            F.cross_entropy(model(x), flipped).backward()
            recorder.step(flipped, sample_ids=torch.arange(SAMPLES))
            optimizer.step()
            recorder.end_epoch()
    values = gwa.rank(gwa.open_run(tmp_path / "r"), "influential").values
    is_wrong = np.isin(np.arange(SAMPLES), wrong.numpy())
    assert np.median(values[is_wrong]) < 0 < np.median(values[~is_wrong])


def test_samples_that_were_not_seen_and_runs_without_rates(tmp_path: Path) -> None:
    run = train(tmp_path / "r", lambda p: torch.optim.SGD(p, 0.1), unseen=5)
    scores = gwa.rank(run, "influential")
    np.testing.assert_array_equal(np.isnan(scores.values), [*[False] * 85, *[True] * 5])
    assert np.isnan(scores.columns["share_of_class"][-5:]).all()
    with pytest.raises(NotRecordedError, match="optimizer="):
        gwa.rank(train(tmp_path / "r", lambda p: torch.optim.SGD(p, 0.1), optimizer=None), "influential")
    with pytest.raises(RunFormatError, match="dot"):
        gwa.rank(train(tmp_path / "r", lambda p: torch.optim.SGD(p, 0.1), signals=["loss"]), "influential")


def test_one_step_and_weights_of_zero_have_no_residual(tmp_path: Path) -> None:
    run = train(tmp_path / "r", lambda p: torch.optim.SGD(p, 0.1), epochs=1, batch=SAMPLES)
    scores = gwa.rank(run, "influential")
    assert np.isfinite(scores.values).all()
    assert np.isnan(scores.meta["conservation"]["residual"])
