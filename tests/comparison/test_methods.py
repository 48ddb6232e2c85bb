"""Methods compared on a run: the numbers are those of each method alone, and nothing goes missing silently."""

import html
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from typer.testing import CliRunner

import gwa_attrib as gwa
from gwa_attrib.analyses import analyses
from gwa_attrib.attribution import attributors
from gwa_attrib.auditing.audited_model import AuditedModel, load_audited_model
from gwa_attrib.auditing.training import kept_epochs
from gwa_attrib.cli import app
from gwa_attrib.comparison.named_methods import NO_DETECTORS, NOT_ALONE, SLOW, WIDER, baseline_names
from gwa_attrib.errors import InputError, NotRecordedError, UnknownNameError
from gwa_attrib.evaluation import mislabel_metrics
from gwa_attrib.evaluation.intervals import METRICS
from tests.analyses.synthetic import run_from_probabilities

FEW = ["mislabeled", "aum", "grad_dot", "ekfac:linear", "random"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("audit") / "run"
    gwa.audit("digits", path, flip=0.1, limit=300, epochs=6, budget="fast", seed=1)
    return path


@pytest.fixture(scope="module")
def compared(folder: Path) -> gwa.MethodComparison:
    return gwa.compare(folder, "label_before_flip", draws=100)


def test_every_method_ran_or_says_why_not(compared: gwa.MethodComparison) -> None:
    methods = {*analyses.names(), *attributors.names(), *WIDER}
    assert set(compared.table.index) | set(compared.skipped) == methods
    assert set(compared.skipped) == {*SLOW, *NOT_ALONE, *NO_DETECTORS}
    assert compared.facts["samples"] == 300
    assert compared.facts["errors"] == 30


def test_each_row_is_the_metric_of_its_scores(compared: gwa.MethodComparison, folder: Path) -> None:
    run = gwa.open_run(folder)
    wrong = run.samples["label_before_flip"].to_numpy() != np.asarray(run.class_names)[run.labels]
    for method in ("mislabeled", "aum", "grad_dot"):
        expected = mislabel_metrics(compared.scores[method], wrong)
        for name in METRICS:
            row = compared.table.loc[method]
            assert row[name] == expected[name]
            assert row[f"{name}_low"] <= row[name] + 1e-9
            assert row[f"{name}_high"] >= row[name] - 1e-9
    missed = 1 - wrong[compared.scores["aum"].order()[: wrong.sum()]].mean()
    assert compared.table.loc["aum", "false_negative_rate"] == pytest.approx(missed)
    np.testing.assert_array_equal(compared.scores["aum"].values, gwa.rank(run, "aum").values)
    assert compared.table["average_precision"].is_monotonic_decreasing


def test_attributors_see_the_audited_model(compared: gwa.MethodComparison, folder: Path) -> None:
    """The rebuilt model predicts as the last epoch's weights do, on the samples and labels of the run."""
    run = gwa.open_run(folder)
    audited = load_audited_model(run)
    assert [path.name for path in audited.checkpoints] == [f"epoch={i:05d}.pt" for i in sorted(kept_epochs(6))]
    assert audited.labels.tolist() == run.labels.tolist()
    with torch.no_grad():
        accuracy = (audited.model(audited.inputs).argmax(dim=1) == audited.labels).double().mean()
    assert accuracy > run.epochs()["train_accuracy"].iloc[-1] - 0.1
    alone = gwa.self_influence(audited.model, F.cross_entropy, (audited.inputs, audited.labels), "grad_dot")
    np.testing.assert_allclose(compared.scores["grad_dot"].values, alone.values, rtol=1e-6)
    rates = run.trajectory("learning_rate").mean(axis=1)
    assert audited.learning_rates == pytest.approx([rates[i] for i in sorted(kept_epochs(6))])


def test_agreement_is_symmetric_and_knows_directions(compared: gwa.MethodComparison) -> None:
    agreement = compared.agreement
    np.testing.assert_allclose(agreement, agreement.T)
    np.testing.assert_allclose(np.diag(agreement), 1.0)
    assert agreement.loc["aum", "loss"] > 0.8  # low and high are suspicious


def test_what_is_written(compared: gwa.MethodComparison, tmp_path: Path) -> None:
    page = compared.write(tmp_path / "out").read_text(encoding="utf-8")
    assert "script-src 'none'" in html.unescape(page)
    assert "<script" not in page
    assert 'style="' not in page
    table = pd.read_parquet(tmp_path / "out" / "table.parquet")
    assert list(table.index) == list(compared.table.index)
    scores = pd.read_parquet(tmp_path / "out" / "scores.parquet")
    np.testing.assert_array_equal(scores["aum"], compared.scores["aum"].values)
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    for name in (*compared.table.index, *compared.skipped):
        assert name in text
        assert name in page


def test_the_command_line(folder: Path, tmp_path: Path) -> None:
    named = [part for name in FEW for part in ("--methods", name)]
    args = ["compare", str(folder), "--truth", "label_before_flip", "--out", str(tmp_path / "c"), *named]
    result = CliRunner().invoke(app, [*args, "--json"])
    found = json.loads(result.stdout)
    assert {row["method"] for row in found["methods"]} == set(FEW)
    assert found["skipped"] == {}
    assert Path(found["report"]).exists()
    assert "mislabeled" in CliRunner().invoke(app, args).stdout


def test_how_far_one_is_ahead_of_the_others(compared: gwa.MethodComparison) -> None:
    ahead = compared.ahead("aum")
    assert set(ahead.index) == set(compared.table.index) - {"aum"}
    expected = compared.table["average_precision"]["aum"] - compared.table["average_precision"]["random"]
    assert ahead.loc["random", "difference"] == expected
    assert ahead.loc["random", "low"] > 0
    assert (ahead["low"] <= ahead["difference"] + 1e-9).all()
    for wrong in ({"reference": "best"}, {"metric": "accuracy"}):
        with pytest.raises(InputError, match="a method that ran"):
            compared.ahead(**wrong)


def test_overlap_is_what_two_methods_put_first(compared: gwa.MethodComparison) -> None:
    for k in (None, 7):
        overlap = compared.overlap(k)
        first = {name: set(compared.scores[name].top(k or 30)) for name in overlap.index}
        assert overlap.loc["aum", "loss"] == len(first["aum"] & first["loss"]) / (k or 30)
        np.testing.assert_array_equal(overlap, overlap.T)
        np.testing.assert_array_equal(np.diag(overlap), 1.0)
    for wrong in (0, 301):
        with pytest.raises(InputError, match="suspects"):
            compared.overlap(wrong)


def test_other_libraries_train_five_more_models_or_are_skipped(folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(folder, run)
    first = gwa.compare(run, "label_before_flip", ["mislabeled", "baselines"], draws=20)
    assert set(first.table.index) | set(first.skipped) == {"mislabeled", *baseline_names()}
    if find_spec("captum"):
        assert "BatchNorm2d" in first.skipped["captum_tracin:all"]
    if not find_spec("cleanlab"):
        assert "not installed" in first.skipped["confident_learning"]
        return
    row, other = first.table.loc["confident_learning"], first.table.loc["confident_learning_margin"]
    assert row["trainings"] == 5
    assert row["average_precision"] > 0.5
    files = sorted((run / "out_of_fold").rglob("*.npz"))
    assert len(files) == 5
    trained = sum(float(np.load(file)["seconds"]) for file in files)
    assert row["seconds"] >= 0.99 * trained
    assert other["seconds"] >= 0.99 * trained  # what it builds on is counted too
    assert gwa.inspect(gwa.open_run(run))["status"] == "complete"


def test_what_a_group_leaves_out_is_listed_unless_it_is_named(folder: Path) -> None:
    found = gwa.compare(folder, "label_before_flip", ["own", "lissa"], time_limit=0.2, draws=2)
    assert "influence" in found.skipped["influence_cg"]
    assert "longer than" in found.skipped["lissa"]
    assert not set(SLOW) & set(gwa.compare(folder, "label_before_flip", ["aum"], draws=2).skipped)


def test_a_method_that_takes_too_long_is_given_up(folder: Path) -> None:
    methods = ["aum", "lissa"]
    found = gwa.compare(folder, "label_before_flip", methods, draws=20, patience=0.3)
    assert list(found.table.index) == ["aum"]
    assert found.skipped == {"lissa": "it took longer than 0.3 seconds"}
    with pytest.raises(InputError, match="time limit"):
        gwa.compare(folder, "label_before_flip", methods, time_limit=0.0)
    with pytest.raises(InputError, match="one limit"):
        gwa.compare(folder, "label_before_flip", methods, time_limit=1.0, patience=1.0)


def test_a_limit_changes_no_score(folder: Path) -> None:
    methods = ["aum", "mislabeled", "influence"]
    free = gwa.compare(folder, "label_before_flip", methods, draws=2)
    limited = gwa.compare(folder, "label_before_flip", methods, draws=2, time_limit=300)
    for method in methods:
        np.testing.assert_array_equal(free.scores[method].values, limited.scores[method].values)
        assert free.scores[method].meta.keys() == limited.scores[method].meta.keys()
    assert (limited.table["seconds"] > 0).all()


def watch(monkeypatch: pytest.MonkeyPatch, name: str, note: Callable[..., Any]) -> None:
    """Note what a method of AuditedModel is called with."""
    method = getattr(AuditedModel, name)

    def watched(self: AuditedModel, *args: Any) -> Any:
        note(*args)
        return method(self, *args)

    monkeypatch.setattr(AuditedModel, name, watched)


def test_removal_is_asked_of_samples_that_nobody_trained_on(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    shutil.copytree(folder, run)
    kept: list[np.ndarray] = []
    asked: list[np.ndarray] = []
    watch(monkeypatch, "train_again", lambda ids, seed: kept.append(ids))
    watch(monkeypatch, "logits", lambda model, ids: asked.append(ids))
    methods = ["mislabeled", "aum", "random"]
    found = gwa.compare(run, "label_before_flip", methods, draws=20, removal=[0.1, 0.2], seeds=2)
    assert found.removal is not None
    assert found.removal["removed"].tolist() == [24, 48] * 3
    assert len(kept) == len(asked) == 2 * 7
    assert {tuple(ids) for ids in asked} == {tuple(asked[0])}
    assert all(not set(ids) & set(asked[0]) for ids in kept)
    assert sorted(len(ids) for ids in kept) == sorted(2 * ([240] + [216, 192] * 3))
    suspects = found.scores["aum"].order()
    gone = set(range(300)) - set(asked[0])
    expected = [i for i in suspects if i in gone][:24]
    assert any(set(gone) - set(ids) == set(expected) for ids in kept)
    kept.clear()
    again = gwa.compare(run, "label_before_flip", methods, draws=20, removal=[0.1, 0.2], seeds=2)
    assert not kept
    pd.testing.assert_frame_equal(again.removal, found.removal)
    page = found.write(tmp_path / "out").read_text(encoding="utf-8")
    assert 'id="removal"' in page
    assert "--removal 0.1 --removal 0.2 --seeds 2" in page
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "out" / "removal.parquet"), found.removal)
    assert "10 % removed" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")


def test_a_removal_that_cannot_be_done_is_refused_before_any_method_runs(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gwa_attrib.comparison.methods.run_methods", lambda *args: pytest.fail("it ran"))
    for wrong in ({"removal": [1.5]}, {"removal": [0.1], "seeds": 0}):
        with pytest.raises(InputError, match="shares between 0 and 1"):
            gwa.compare(folder, "label_before_flip", ["aum"], **wrong)


def test_a_library_that_fails_does_not_take_the_others_with_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*args: Any, **options: Any) -> None:
        raise RuntimeError("no such kernel")

    monkeypatch.setattr("gwa_attrib.comparison.named_methods._of_model", fails)
    found = gwa.compare(folder, "label_before_flip", ["aum", "captum_tracin"], draws=20)
    assert list(found.table.index) == ["aum"]
    assert found.skipped == {"captum_tracin": "the library failed: RuntimeError: no such kernel"}
    with pytest.raises(RuntimeError, match="kernel"):  # of our own it is a defect, and said
        gwa.compare(folder, "label_before_flip", ["aum", "ekfac"], draws=20)


def test_no_method_gives_an_empty_table(folder: Path, tmp_path: Path) -> None:
    found = gwa.compare(folder, "label_before_flip", [], draws=20)
    assert not len(found.table)
    assert "No method ran" in found.write(tmp_path / "out").read_text(encoding="utf-8")


def test_training_again_on_everything_is_the_training_of_the_audit(folder: Path) -> None:
    audited = load_audited_model(gwa.open_run(folder))
    again = audited.train_again(np.arange(300), seed=1)
    for one, other in zip(again.state_dict().values(), audited.model.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_removal_needs_verified_labels_to_hold_out(folder: Path) -> None:
    truth = [None] * 298 + gwa.open_run(folder).samples["label_before_flip"].tolist()[298:]
    with pytest.raises(InputError, match="hold some of them out"):
        gwa.compare(folder, truth, ["aum"], draws=20, removal=[0.1])


def test_without_model_or_data_the_analyses_are_compared(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet([1.0] * 3, (4, 40))
    labels = generator.integers(0, 3, 40)
    alignment = generator.normal(size=(4, 40)).astype(np.float32)
    run = run_from_probabilities(tmp_path / "run", probabilities, labels, alignment)
    truth = [f"class {label}" if i % 5 else None for i, label in enumerate((labels + (np.arange(40) < 8)) % 3)]
    found = gwa.compare(run, truth, ["alignment", "confidence", "ekfac"], draws=20)
    assert set(found.table.index) == {"alignment", "confidence"}
    assert "not made by an audit" in found.skipped["ekfac"]
    assert found.facts["samples"] == 32
    assert found.facts["errors"] == 6
    page = found.write(tmp_path / "out").read_text(encoding="utf-8")
    assert "gwa.compare(" in page  # there is no column to name on a command line


def test_no_wrong_label_gives_no_metric(folder: Path, tmp_path: Path) -> None:
    found = gwa.compare(folder, "label", FEW[:2], draws=20)
    assert found.facts["errors"] == 0
    assert found.table["auroc"].isna().all()
    assert 'id="recall"' not in found.write(tmp_path / "out").read_text(encoding="utf-8")


def test_what_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="influence"):
        gwa.compare(folder, "label_before_flip", ["best"])
    with pytest.raises(InputError, match="truth"):
        gwa.compare(folder, "verified")
    with pytest.raises(InputError, match="300"):
        gwa.compare(folder, [0, 1])
    old = tmp_path / "old"
    shutil.copytree(folder, old)
    shutil.rmtree(old / "checkpoints")
    with pytest.raises(NotRecordedError, match="earlier version"):
        load_audited_model(gwa.open_run(old))


COST = """
import torch
from gwa_attrib.comparison.limits import measured

with measured() as cost:
    torch.ones(25_000_000).sum()
print(cost.seconds, cost.megabytes)
"""


def test_the_cost_of_a_block() -> None:
    """In a process of its own: here freed memory may be used again, which costs nothing."""
    printed = subprocess.run([sys.executable, "-c", COST], capture_output=True, text=True, check=True).stdout
    seconds, megabytes = map(float, printed.split())
    assert seconds > 0
    assert 80 < megabytes < 200


def test_flips_of_named_classes_are_compared_too(tmp_path: Path) -> None:
    """Classes that are words: what is stored of the labels before the flip names them."""
    generator = np.random.default_rng(0)
    labels = np.arange(60) % 3
    table = pd.DataFrame(generator.normal(size=(60, 3)) + 4 * np.eye(3)[labels], columns=["a", "b", "c"])
    table["species"] = np.array(["cat", "dog", "eel"])[labels]
    table.to_csv(tmp_path / "table.csv", index=False)
    gwa.audit(tmp_path / "table.csv", tmp_path / "run", label_column="species", flip=0.1, epochs=3)
    run = gwa.open_run(tmp_path / "run")
    assert run.samples["label_before_flip"].tolist() == table["species"].tolist()
    found = gwa.compare(run, "label_before_flip", ["mislabeled", "grad_dot"], draws=20)
    assert found.facts["errors"] == 6
    assert not found.skipped
