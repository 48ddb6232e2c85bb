"""The main job, from data to report, for each kind of data."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import gwa_attrib as gwa
from gwa_attrib.auditing.audited_model import load_audited_model
from gwa_attrib.cleaning.evaluation_set import examination_of_test_set
from gwa_attrib.datasets.again import read_again
from gwa_attrib.datasets.encoding import texts
from gwa_attrib.datasets.encoding.texts import sentence_encoder_installed
from gwa_attrib.errors import InputError, RunExistsError, RunFormatError
from gwa_attrib.store.kept import keep_embeddings, kept_embeddings


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> gwa.audit:
    out = tmp_path_factory.mktemp("audit") / "run"
    return gwa.audit("digits", out, flip=0.1, limit=600, epochs=12, budget="fast", seed=3)


def test_flipped_digits_are_found(digits) -> None:
    assert digits.truth["errors"] == 60
    assert digits.truth["auroc"] > 0.97
    assert digits.truth["recall_at_20_percent"] > 0.8
    assert digits.estimated_errors["low"] <= digits.estimated_errors["count"] <= digits.estimated_errors["high"]


def test_the_folder_holds_the_run_the_tables_and_the_report(digits) -> None:
    folder = Path(digits.run)
    assert Path(digits.report) == folder / "report.html"
    assert Path(digits.report).stat().st_size < 3_000_000
    table = pd.read_parquet(folder / "issues.parquet")
    assert len(table) == digits.samples == 600
    assert table["is_label_issue"].sum() == digits.suspects
    assert list(table.index) == list(range(600))
    worst_first = pd.read_csv(folder / "issues.csv")
    assert list(worst_first["rank"]) == list(range(1, 601))
    assert list(worst_first["sample_id"]) == list(gwa.rank(gwa.open_run(folder)).order())
    assert len(gwa.open_run(folder).epoch_numbers) == digits.epochs == 12


def test_the_result_is_one_json_object_as_documented(digits) -> None:
    printed = json.loads(json.dumps(digits.to_dict(), allow_nan=False))
    fields = ["run", "samples", "classes", "epochs", "seconds", "suspects", "estimated_errors", "report", "truth"]
    assert list(printed)[:10] == [*fields, "skipped"]
    assert printed["skipped"] == []
    assert list(printed["estimated_errors"]) == ["count", "low", "high"]
    metrics = ["errors", "auroc", "average_precision", "precision_at_errors"]
    assert list(printed["truth"]) == [*metrics, "recall_at_10_percent", "recall_at_20_percent"]


def test_a_seeded_audit_repeats_to_the_bit(digits, tmp_path: Path) -> None:
    again = gwa.audit("digits", tmp_path / "run", flip=0.1, limit=600, epochs=12, budget="fast", seed=3)
    first, second = (gwa.open_run(path).observations().to_pandas() for path in (digits.run, again.run))
    pd.testing.assert_frame_equal(first, second, check_exact=True)
    assert (gwa.rank(gwa.open_run(digits.run)).values == gwa.rank(gwa.open_run(again.run)).values).all()


def test_an_audited_run_finds_its_data_again(digits, tmp_path: Path) -> None:
    run = gwa.open_run(digits.run)
    data, note = read_again(run)
    assert note == ""
    assert (data.labels == run.labels).all()
    assert gwa.report(run, tmp_path / "again.html", data=data).exists()


def test_a_report_made_again_is_not_poorer(digits) -> None:
    """The data, the truth and the notes are found again: it is the same page, to the byte."""
    before = Path(digits.report).read_bytes()
    again = gwa.report(gwa.open_run(digits.run))
    assert again.read_bytes() == before
    assert f"{digits.truth['auroc']:.3f}" in again.read_text(encoding="utf-8")


def table_file(folder: Path, rows: int = 120) -> Path:
    rng = np.random.default_rng(0)
    a, colour = rng.normal(size=rows), rng.choice(["red", "blue"], rows)
    truth = np.where(a + (colour == "red") > 0.5, "yes", "no")
    label = truth.copy()
    label[:12] = np.where(truth[:12] == "yes", "no", "yes")
    frame = pd.DataFrame({"a": a, "colour": colour, "label": label, "checked": truth})
    frame.to_csv(folder / "table.csv", index=False)
    return folder / "table.csv"


def test_truth_scores_the_ranking_and_never_enters_it(tmp_path: Path) -> None:
    path = table_file(tmp_path)
    scored = gwa.audit(path, tmp_path / "scored", truth="checked", epochs=8)
    frame = pd.read_csv(path)
    frame["checked"] = frame["checked"].iloc[::-1].to_numpy()
    frame.to_csv(path, index=False)
    other = gwa.audit(path, tmp_path / "other", truth="checked", epochs=8)
    assert scored.truth["errors"] == 12
    assert other.truth != scored.truth
    rankings = [gwa.rank(gwa.open_run(result.run)).values for result in (scored, other)]
    np.testing.assert_array_equal(*rankings)


def test_columns_with_names_of_the_run_are_kept_under_others(tmp_path: Path) -> None:
    frame = pd.read_csv(table_file(tmp_path)).rename(columns={"label": "noisy", "checked": "label"})
    frame.to_csv(tmp_path / "renamed.csv", index=False)
    result = gwa.audit(tmp_path / "renamed.csv", tmp_path / "run", label_column="noisy", truth="label", epochs=2)
    assert result.truth["errors"] == 12
    samples = gwa.open_run(result.run).samples
    names = np.array(gwa.open_run(result.run).class_names)
    assert (names[samples["label"]] == frame["noisy"]).all()
    assert (samples["extra_label"] == frame["label"]).all()


def test_texts_are_audited(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    words = {"sport": "ball team goal match win player", "money": "bank market stock price trade fund"}
    rows = [(" ".join(rng.choice(text.split(), 9)), label) for label, text in words.items() for _ in range(60)]
    frame = pd.DataFrame(rows, columns=["text", "label"])
    frame.loc[:5, "label"] = "money"
    frame.to_parquet(tmp_path / "texts.parquet")
    result = gwa.audit(tmp_path / "texts.parquet", tmp_path / "run", epochs=10)
    assert set(gwa.rank(gwa.open_run(result.run)).top(6)) == set(range(6))


@pytest.mark.skipif(not sentence_encoder_installed(), reason="needs gwa-attrib[text]")
def test_texts_of_a_run_are_not_read_by_the_encoder_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sentences = ("The striker scored {} goals in the cup final.", "The bank lent {} millions to the company.")
    said = [sentence.format(number) for number in ("one", "two", "three") for sentence in sentences]
    frame = pd.DataFrame({"text": said, "label": ["sport", "money"] * 3})
    frame.to_parquet(tmp_path / "train.parquet")
    new = pd.DataFrame({"text": [sentences[0].format("nine")], "label": ["sport"]})
    pd.concat([frame.iloc[:2], new], ignore_index=True).to_parquet(tmp_path / "test.parquet")
    run = gwa.open_run(gwa.audit(tmp_path / "train.parquet", tmp_path / "run", epochs=2).run)
    whole = load_audited_model(run).inputs
    asking = examination_of_test_set(run, str(tmp_path / "test.parquet"))
    assert asking.also_trained_on == 2, "texts are the same by their words, not by what a batch made of them"
    both = asking.inputs
    read = []
    monkeypatch.setattr(texts, "read_texts", lambda asked: read.append(len(asked)) or np.ones((len(asked), 384), "f4"))
    assert torch.equal(load_audited_model(run).inputs, whole)
    assert read == []
    again = examination_of_test_set(run, str(tmp_path / "test.parquet")).inputs
    assert read == [3]
    assert again.shape == both.shape
    torch.testing.assert_close(both[6:8], both[:2], atol=1e-3, rtol=0)
    (run.path / "embeddings.npy").unlink()
    load_audited_model(run)
    assert read == [3, 6]


def test_embeddings_of_other_texts_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "two.npz", X=np.array([[0.0, 1.0], [1.0, 0.0]]), y=np.array([0, 1]))
    run = gwa.open_run(gwa.audit(tmp_path / "two.npz", tmp_path / "run", epochs=2).run)
    assert kept_embeddings(run) is None
    keep_embeddings(run.path, np.zeros((3, 4), dtype=np.float32))
    with pytest.raises(RunFormatError, match="3 rows for 2 samples"):
        kept_embeddings(run)


def test_two_samples_are_enough(tmp_path: Path) -> None:
    np.savez(tmp_path / "two.npz", X=np.array([[0.0, 1.0], [1.0, 0.0]]), y=np.array([0, 1]))
    result = gwa.audit(tmp_path / "two.npz", tmp_path / "run", epochs=2)
    assert result.samples == 2
    assert result.truth is None


@pytest.mark.filterwarnings("ignore:Expected inputs that do not hold the answer")
def test_nothing_is_written_for_wrong_input(tmp_path: Path) -> None:
    wrong: dict[str, dict] = {
        "label_column": {"label_column": "species"},
        "truth": {"truth": "nowhere"},
        "flip": {"flip": 1.5},
        "model": {"model": "no_such_module:net"},
        "kind": {"flip": 0.1, "flip_kind": "triples"},
    }
    for name, options in wrong.items():
        with pytest.raises(InputError):
            gwa.audit(table_file(tmp_path), tmp_path / name, epochs=1, **options)
        assert not (tmp_path / name).exists()


@pytest.mark.filterwarnings("ignore:Expected inputs that do not hold the answer")
def test_an_earlier_run_is_kept_unless_it_may_be_replaced(tmp_path: Path) -> None:
    path, out = table_file(tmp_path), tmp_path / "run"
    gwa.audit(path, out, epochs=1)
    before = gwa.open_run(out).info["run_id"]
    with pytest.raises(RunExistsError, match="overwrite"):
        gwa.audit(path, out, epochs=1)
    assert gwa.open_run(out).info["run_id"] == before
    assert gwa.audit(path, out, epochs=1, overwrite=True).epochs == 1
    assert gwa.open_run(out).info["run_id"] != before
