"""Other libraries on an audited model: the numbers that ours are, or a refusal that says why."""

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import spearmanr

import gwa_attrib as gwa
from gwa_attrib.auditing.audited_model import AuditedModel
from gwa_attrib.comparison.libraries import baselines
from gwa_attrib.comparison.libraries import registry as registry_module
from gwa_attrib.errors import GWAError, InputError, LayerError, MissingDependencyError
from tests.comparison.libraries.audited_runs import CLASSES, audited, grouped, normalised, plain, reflecting, states_of

PACKAGES = {"confident": "cleanlab", "captum": "captum", "kronfluence": "kronfluence", "traker": "trak"}


def package_of(name: str) -> str:
    return PACKAGES[name.partition("_")[0]]


def asked(name: str, model: AuditedModel, **options: Any) -> Any:
    pytest.importorskip(package_of(name), reason=f"{package_of(name)} is not installed")
    return baselines[name](model, **options)


def own(model: AuditedModel, method: str, **options: Any) -> np.ndarray:
    scores = gwa.self_influence(model.model, F.cross_entropy, (model.inputs, model.labels), method, **options)
    return np.asarray(scores.values)


each = pytest.mark.parametrize("name", baselines.names())


@each
def test_the_model_and_the_process_are_left_alone(name: str, tmp_path: Path) -> None:
    model = audited(tmp_path, samples=121)
    before, handlers = states_of(model.model), list(logging.getLogger().handlers)
    scores = asked(name, model)
    assert scores.values.shape == (121,)
    assert np.isfinite(scores.values).all()
    assert scores.suspect == baselines[name].suspect
    for old, new in zip(before, states_of(model.model), strict=True):
        np.testing.assert_array_equal(old, new)
    assert not model.model.training
    assert all(p.requires_grad and p.grad is None for p in model.model.parameters())
    assert not any(module._forward_hooks or module._backward_hooks for module in model.model.modules())
    assert logging.getLogger().handlers == handlers


@each
def test_nothing_is_said(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = audited(tmp_path, samples=121)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asked(name, model)
    printed = capfd.readouterr()
    assert printed.err == ""


@each
def test_a_missing_library_is_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_module, "find_spec", lambda package: None)
    with pytest.raises(MissingDependencyError, match=package_of(name)) as error:
        baselines[name](audited(tmp_path))
    assert "pip install 'gwa-attrib[baselines]'" in str(error.value)
    assert ("--no-deps kronfluence" in str(error.value)) == (package_of(name) == "kronfluence")


@pytest.mark.parametrize("layers", ["head", "all"])
def test_captum_tracin_is_ours(layers: str, tmp_path: Path) -> None:
    model = audited(tmp_path, plain)
    theirs = asked("captum_tracin", model, layers=layers).values
    options = {"checkpoints": model.checkpoints, "learning_rates": model.learning_rates}
    np.testing.assert_allclose(theirs, own(model, "tracin", layers=layers, **options), rtol=1e-5)


def test_captum_arnoldi_ranks_as_ours(tmp_path: Path) -> None:
    """It regularises in another way, and keeps 50 directions."""
    model = audited(tmp_path, plain, samples=90)
    theirs = asked("captum_arnoldi", model).values
    assert spearmanr(theirs, own(model, "arnoldi"))[0] > 0.97


@pytest.mark.parametrize("layers", ["head", "linear"])
def test_kronfluence_ranks_as_ours(layers: str, tmp_path: Path) -> None:
    """Equal but for the labels that both draw from the predictions; without that: see the attributors' tests."""
    model = audited(tmp_path, plain, samples=300)
    theirs = asked("kronfluence_ekfac", model, layers=layers).values
    assert spearmanr(theirs, own(model, "ekfac", layers=layers))[0] > 0.97


def test_what_libraries_get_wrong_is_refused(tmp_path: Path) -> None:
    for make, library in [(normalised, "captum_tracin"), (grouped, "captum_tracin"), (reflecting, "captum_tracin")]:
        model = audited(tmp_path / library / make.__name__, make)
        with pytest.raises(LayerError, match="captum"):
            asked(library, model, layers="all")
        assert len(asked(library, model).values) == 31  # the head alone is fine
    for make in (grouped, reflecting):
        with pytest.raises(LayerError, match="Conv2d"):
            asked("kronfluence_ekfac", audited(tmp_path / "k" / make.__name__, make), layers="linear")
    with pytest.raises(InputError, match="101 dimensions"):
        asked("traker_trak", audited(tmp_path / "t"), dimensions=100)
    for name in ("captum_arnoldi", "kronfluence_ekfac", "traker_trak"):
        with pytest.raises(GWAError, match="layers out of"):
            asked(name, audited(tmp_path / name), layers="first")


def confident_count(labels: np.ndarray, probabilities: np.ndarray) -> int:
    """How many samples are counted off the diagonal of the confident joint, one by one."""
    thresholds = [np.mean([p[c] for p, y in zip(probabilities, labels, strict=True) if y == c]) for c in range(CLASSES)]
    found = 0
    for p, y in zip(probabilities, labels, strict=True):
        confident = [c for c in range(CLASSES) if p[c] >= thresholds[c] - 1e-6]
        if confident and max(confident, key=lambda c: p[c]) != y:
            found += 1
    return found


def test_confident_learning_counts_as_the_paper_does(tmp_path: Path) -> None:
    from gwa_attrib.comparison.libraries import out_of_fold

    model = audited(tmp_path, samples=200)
    labels = model.labels.clone()
    labels[torch.randperm(200, generator=torch.Generator().manual_seed(1))[:40]] = 1
    model = AuditedModel(**{**vars(model), "labels": labels})
    scores = asked("confident_learning", model)
    probabilities = out_of_fold(model).probabilities
    np.testing.assert_allclose(scores.values, probabilities[np.arange(200), labels], rtol=1e-12)
    expected = confident_count(labels.numpy(), probabilities)
    assert 5 < expected < 100
    assert scores.meta["estimated_errors"] == expected
    assert scores.meta["trainings"] == 5
    margins = asked("confident_learning_margin", model).values
    others = probabilities.copy()
    others[np.arange(200), labels] = -1
    np.testing.assert_allclose(margins, (scores.values - others.max(axis=1) + 1) / 2, rtol=1e-12)
    entropy = asked("confident_learning_entropy", model).values
    of_all = -(probabilities * np.log(probabilities)).sum(axis=1) / np.log(CLASSES)
    assert spearmanr(entropy, scores.values / of_all)[0] > 0.999
