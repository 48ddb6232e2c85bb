"""The section on layers: drawn for what was recorded, and not there where it was the head alone."""

from pathlib import Path

import numpy as np

import gwa_attrib as gwa
from gwa_attrib.reporting.sections.layers import read_means
from gwa_attrib.store import Run
from tests.reporting.markup import read_page
from tests.small_runs import blobs, record_run


def section(run: Run, folder: Path) -> object:
    return read_page(gwa.report(run, folder / "report.html")).by_id("layers")


def test_of_the_head_alone(plain_run: Run, tmp_path: Path) -> None:
    page = read_page(gwa.report(plain_run, tmp_path / "report.html"))
    assert not [node for node in page.all() if node.attributes.get("id") == "layers"]


def test_of_layers(tmp_path: Path) -> None:
    x, labels = blobs(120, 4, 10)
    found = section(record_run(tmp_path / "run", x, labels, "abcd", layers=["weight", "bias"]), tmp_path)
    text = found.all("svg")[0].text
    for word in ("all", "weight", "bias", "suspects", "other samples", "mean alignment"):
        assert word in text


def test_without_suspects_and_without_any_alignment(tmp_path: Path) -> None:
    x, labels = blobs(60, 3, 0)
    for name, options in (("clean", {}), ("zero", {"zero_weights": True})):
        run = record_run(tmp_path / name, x, labels, "abc", layers=["weight"], epochs=2, **options)
        assert section(run, tmp_path).all("svg")


def test_many_epochs_and_many_layers(tmp_path: Path) -> None:
    x, labels = blobs(60, 3, 5)
    run = record_run(tmp_path / "run", x, labels, "abc", layers=["weight", "bias"], epochs=30)
    assert section(run, tmp_path).all("svg")


def test_the_means_are_those_of_the_trajectories(tmp_path: Path) -> None:
    x, labels = blobs(120, 4, 10)
    run = record_run(tmp_path / "run", x, labels, "abcd", layers=["weight", "bias"], epochs=3)
    suspect = np.arange(120) < 10
    means = read_means(run, run.layers, suspect)
    for row, layer in enumerate(run.layers):
        values = run.trajectory("alignment", layer)
        np.testing.assert_allclose(means.suspects[row], values[:, suspect].mean(axis=1), rtol=1e-4)
        np.testing.assert_allclose(means.others[row], values[:, ~suspect].mean(axis=1), rtol=1e-4)
