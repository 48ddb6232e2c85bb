"""Several runs side by side: ordered by what they reached, with a picture."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

import gwa_attrib as gwa
from gwa_attrib.errors import InputError, NotRecordedError, UnknownNameError
from gwa_attrib.store import Run
from tests import loops
from tests.stopping.histories import history

MEANS = {"wide": [0.1, 0.6, 0.2], "small": [0.1, 0.2, 0.3], "deep": [0.4, 0.3, 0.2]}


@pytest.fixture
def runs(tmp_path: Path) -> dict[str, Run]:
    accuracy = {"wide": 0.9, "small": 0.5, "deep": 0.7}
    return {name: history(tmp_path / name, mean, val=[accuracy[name]] * 3) for name, mean in MEANS.items()}


def test_the_best_comes_first(runs: dict[str, Run]) -> None:
    found = gwa.compare_runs(runs)
    assert found.table.index.tolist() == ["wide", "deep", "small"]
    assert found.table["mean_alignment"].tolist() == pytest.approx([0.6, 0.4, 0.3])
    assert found.table["at_epoch"].tolist() == [1, 0, 2]
    assert found.table["chosen_epoch"].tolist() == [1, 0, 2]
    assert found.table["mean"].tolist() == pytest.approx([0.6, 0.4, 0.3])
    assert found.table["gwa"].tolist() == pytest.approx([0.5, 0.4 / 1.2, 0.25])
    assert np.isnan(found.spearman)


def test_a_proxy_that_should_be_low(runs: dict[str, Run], tmp_path: Path) -> None:
    for name, changed in (("a", [None, 9, 8]), ("b", [None, 3, 2])):
        runs[name] = history(tmp_path / name, [0.1] * 3, changed=changed)
    found = gwa.compare_runs({name: runs[name] for name in "ab"}, "label_wave")
    assert found.table.index.tolist() == ["b", "a"]


def test_beside_an_accuracy(runs: dict[str, Run]) -> None:
    by_metric = gwa.compare_runs(runs, accuracy="val")
    by_name = gwa.compare_runs(runs, accuracy={"wide": 0.9, "small": 0.5, "deep": 0.7})
    for found in (by_metric, by_name):
        assert found.table["accuracy"].tolist() == [0.9, 0.7, 0.5]
        assert found.spearman == pytest.approx(1.0)
    against = gwa.compare_runs(runs, accuracy={"wide": 0.5, "small": 0.9, "deep": 0.7})
    assert against.spearman == pytest.approx(-1.0)
    with pytest.raises(InputError, match="'deep'"):
        gwa.compare_runs(runs, accuracy={"wide": 0.9, "small": 0.5})
    with pytest.raises(InputError, match="top5"):
        gwa.compare_runs(runs, accuracy="top5")


def test_folders_are_runs_and_give_their_names(runs: dict[str, Run]) -> None:
    found = gwa.compare_runs([str(runs["deep"].path), runs["wide"].path, runs["small"]])
    assert found.table.index.tolist() == ["wide", "deep", "small"]


@pytest.mark.parametrize("accuracy", [None, "val"])
def test_the_plot_is_a_picture_with_the_names(runs: dict[str, Run], tmp_path: Path, accuracy: str | None) -> None:
    runs["<b>&"] = runs.pop("small")
    path = gwa.compare_runs(runs, accuracy=accuracy).plot(tmp_path / "comparison.svg")
    root = ElementTree.parse(path).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg", "a browser shows it as a picture"
    text = "".join(root.itertext())
    for name in runs:
        assert name in text


def test_heads_of_different_widths_are_warned_of(tmp_path: Path) -> None:
    class Wide(loops.Classifier):
        def __init__(self) -> None:
            super().__init__()
            self.body = torch.nn.Sequential(torch.nn.Linear(loops.FEATURES, 30), torch.nn.Tanh())
            self.head = torch.nn.Linear(30, loops.CLASSES)

    options = {"probe": True, "measures": ["projected_alignment"]}
    both = [
        loops.recorded(tmp_path / name, model, epochs=2, **options)
        for name, model in (("wide", Wide()), ("narrow", loops.Classifier()))
    ]
    with pytest.warns(UserWarning, match="8, 30"):
        gwa.compare_runs(both)
    found = gwa.compare_runs(both, "projected_alignment")
    assert sorted(found.table["features"]) == [8, 30]


def test_what_cannot_be_compared(runs: dict[str, Run]) -> None:
    with pytest.raises(InputError, match="at least one run"):
        gwa.compare_runs([])
    with pytest.raises(InputError, match="several of the name wide"):
        gwa.compare_runs([runs["wide"], runs["wide"]])
    with pytest.raises(NotRecordedError, match="measures="):
        gwa.compare_runs(runs, "llid")
    with pytest.raises(UnknownNameError):
        gwa.compare_runs(runs, "accuracy")
