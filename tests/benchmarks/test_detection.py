"""The data and the peers of the detection benchmark are what they are said to be."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.neighbors import NearestNeighbors
from torch import nn

from gwa_attrib.auditing.audited_model import AuditedModel
from gwa_attrib.auditing.training import plan_for
from tests import ROOT

sys.path.append(str(ROOT / "benchmarks"))

from detection_cells import IMBALANCE, Cell, Sources, cells, make
from detection_judge import summarise
from detection_peers import aum_with_threshold_samples, neighbour_vote


@pytest.mark.parametrize(
    "noise", ["none", "symmetric-10", "symmetric-40", "pairs-20", "instance-10", "long-tail-10", "hard-10"]
)
def test_as_many_labels_are_wrong_as_the_cell_says_and_always_the_same(noise: str, tmp_path: Path) -> None:
    cell = Cell("digits", noise, 1)
    made, again = make(cell, Sources(), tmp_path), make(cell, Sources(), tmp_path)
    wrong = made["y"] != made["truth"]
    assert wrong.sum() == round(cell.rate * len(wrong))
    for name in made:
        np.testing.assert_array_equal(made[name], again[name])
    other = make(Cell("digits", noise, 2), Sources(), tmp_path)
    assert len(other["y"]) != len(made["y"]) or (other["truth"] != made["truth"]).any()


def test_pairs_go_to_one_class_and_unsure_ones_to_where_a_weak_model_is_unsure(tmp_path: Path) -> None:
    pairs = make(Cell("digits", "pairs-20", 0), Sources(), tmp_path)
    wrong = pairs["y"] != pairs["truth"]
    assert all(len(set(pairs["y"][wrong & (pairs["truth"] == c)])) == 1 for c in range(10))
    unsure = make(Cell("digits", "instance-10", 0), Sources(), tmp_path)
    wrong = unsure["y"] != unsure["truth"]
    x = unsure["X"].reshape(len(wrong), -1) / 255
    weak = cross_val_predict(LogisticRegression(max_iter=1000), x, unsure["truth"], cv=3, method="predict_proba")
    doubt = 1 - weak[np.arange(len(wrong)), unsure["truth"]]
    assert doubt[wrong].mean() > 3 * doubt[~wrong].mean()


def test_long_tails_and_hard_pictures(tmp_path: Path) -> None:
    tail = make(Cell("digits", "long-tail-10", 0), Sources(), tmp_path)
    sizes = np.sort(np.bincount(tail["truth"], minlength=10))
    assert sizes[-1] / sizes[0] == pytest.approx(IMBALANCE, rel=0.1)
    hard = make(Cell("digits", "hard-10", 0), Sources(), tmp_path)
    plain = make(Cell("digits", "symmetric-10", 0), Sources(), tmp_path)
    assert not (hard["hard"] & (hard["y"] != hard["truth"])).any()
    assert hard["hard"].mean() == pytest.approx(0.09, abs=0.02)
    changed = (hard["X"] != plain["X"]).any(axis=(1, 2))
    assert (changed | ~hard["hard"]).all()


def test_sets_whose_files_are_not_given_are_left_out() -> None:
    assert not {cell.data for cell in cells(3, Sources())} & {"cifar10n", "noisyag"}
    assert {cell.data for cell in cells(1, Sources(cifar10n="a", noisyag="b"))} > {"cifar10n", "noisyag"}


def toy(samples: int = 120) -> AuditedModel:
    torch.manual_seed(0)
    labels = torch.arange(samples) % 3
    inputs = torch.randn(samples, 4) + 3 * torch.eye(3, 4)[labels]
    model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)).eval()
    plan = plan_for("table", (4,), samples, epochs=8)
    return AuditedModel(model, inputs, labels, (), (), plan, lambda: model, Path())


def test_the_vote_of_neighbours_is_scikit_learns() -> None:
    audited = toy()
    with torch.no_grad():
        features = audited.model[:2](audited.inputs)
    labels = audited.labels.numpy()
    _, nearest = NearestNeighbors(n_neighbors=10, metric="cosine", algorithm="brute").fit(features).kneighbors()
    expected = (labels[nearest] == labels[:, None]).mean(axis=1)
    assert np.abs(neighbour_vote(audited) - expected).mean() < 0.01  # ties in distance


def test_area_under_the_margin_with_threshold_samples_finds_the_flips() -> None:
    audited = toy(300)
    audited.labels[:20] = (audited.labels[:20] + 1) % 3
    found = aum_with_threshold_samples(audited, {"kind": "table"})
    assert np.isfinite(found["value"]).all()
    assert len(set(np.argsort(found["value"])[:20]) & set(range(20))) > 15


def test_the_summary_counts_who_is_first() -> None:
    def cell(values: dict[str, float]) -> dict[str, object]:
        methods = {
            name: {"average_precision": v, "precision_at_errors": v, "ahead": {"average_precision": [0.5 - v, 0.6 - v]}}
            for name, v in values.items()
        }
        who = {"count": 9, "low": 5, "high": 20, "f1": 0.5, "proposals": 0.5}
        more = {"ours": who, "cleanlab": who, "aum_threshold": {"f1": 0.1}, "reliability": [[10, 4.0, 5], [0, 0.0, 0]]}
        return {"methods": methods, "errors": 10, "samples": 100, "seconds": {"audit": 1.0}, **more}

    made = {
        "digits-a-seed=0": cell({"mislabeled": 0.5, "aum": 0.4}),
        "digits-b-seed=0": cell({"mislabeled": 0.5, "aum": 0.9}),
    }
    found = summarise(made)
    assert found["methods"]["mislabeled"]["mean_rank_average_precision"] == 1.5
    assert found["methods"]["aum"]["ours_significantly_behind"] == ["digits-b-seed=0"]
    assert found["count"]["interval_held"] == 1
    assert found["count"]["median_relative_error"]["ours"] == pytest.approx(0.1)
    assert list(found["reliability"]) == ["all", "others"]
    assert found["reliability"]["others"][0] == {"samples": 20, "label_score": 0.4, "right": 0.5}
    assert found["reliability"]["others"][1] == {"samples": 0, "label_score": None, "right": None}
