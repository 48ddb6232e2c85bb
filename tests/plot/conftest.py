"""Runs to draw: a plain one with wrong labels, and one in which every text is hostile; axes that pyplot knows not."""

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gwa_attrib.store import Run
from tests.reporting.hostile import EVIL, EVIL_METRIC, NAMES
from tests.small_runs import blobs, record_run


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """300 samples, 5 classes, 25 wrong labels, 6 epochs with a validation accuracy that is best in epoch 3."""
    x, labels = blobs(300, 5, 25)
    metrics = [{"val_accuracy": value} for value in (0.5, 0.6, 0.7, 0.9, 0.8, 0.8)]
    return record_run(tmp_path_factory.mktemp("drawn") / "drawn", x, labels, NAMES, metrics=metrics)


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Class names and keys that try to be mathematics, markup or invisible."""
    x, labels = blobs(350, len(EVIL), 30)
    keys = [f"{EVIL[i % len(EVIL)]}$x${i}" for i in range(350)]
    path = tmp_path_factory.mktemp("hostile") / "hostile"
    return record_run(path, x, labels, EVIL, keys=keys, metrics=[{EVIL_METRIC: 0.5}] * 6)


@pytest.fixture
def ax() -> Axes:
    return Figure(layout="constrained").subplots()
