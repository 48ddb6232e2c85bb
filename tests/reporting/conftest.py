"""Reports of two runs, made once: a plain one with pictures, and one in which every text is hostile."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import gwa_attrib as gwa
from gwa_attrib.store import Run
from tests.reporting.browser import Browser
from tests.reporting.hostile import EVIL, EVIL_METRIC, NAMES
from tests.small_runs import blobs, record_run


@pytest.fixture(scope="session")
def plain_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """300 samples, 5 classes, 25 wrong labels, 6 epochs with a validation accuracy."""
    x, labels = blobs(300, 5, 25)
    metrics = [{"val_accuracy": 0.5 + epoch / 20, "val_loss": 1.0} for epoch in range(6)]
    return record_run(tmp_path_factory.mktemp("plain") / "plain", x, labels, NAMES, metrics=metrics)


@pytest.fixture(scope="session")
def pictures() -> list[tuple[torch.Tensor, int]]:
    """A data set for `plain_run`: pictures as they are normalised for training."""
    _, labels = blobs(300, 5, 25)
    noise = torch.randn(300, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    return list(zip(noise, labels.tolist(), strict=True))


@pytest.fixture(scope="session")
def plain_report(
    plain_run: Run, pictures: list[tuple[torch.Tensor, int]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("reports") / "plain.html"
    return gwa.report(
        plain_run, path, data=pictures, truth={"errors": 25, "auroc": 0.99}, notes=["2 files were left out."]
    )


@pytest.fixture(scope="session")
def hostile_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Class names, keys, configuration and a metric that try to break out of where they are written."""
    x, labels = blobs(350, len(EVIL), 30)
    keys = [EVIL[i % len(EVIL)] + str(i) for i in range(350)]
    return record_run(
        tmp_path_factory.mktemp("hostile") / "<b>$run$",
        x,
        labels,
        EVIL,
        keys=keys,
        config={"<script>alert(3)</script>": "</script>", "data": "/home/someone/secret/photos"},
        metrics=[{EVIL_METRIC: 0.5}] * 6,
    )


@pytest.fixture(scope="session")
def hostile_report(hostile_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = np.array([f"<img src=x onerror=alert(4)>\ud800\u202e {name}" for name in EVIL] * 50, dtype=object)
    path = tmp_path_factory.mktemp("reports") / "hostile.html"
    return gwa.report(hostile_run, path, data=texts, notes=["</li><script>alert(5)</script>"])


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One Chromium for all tests that are marked with `browser`; those skip without it."""
    with Browser(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser
