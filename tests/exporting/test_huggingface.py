"""Columns of a Hugging Face data set, by the real package."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gwa_attrib as gwa
from gwa_attrib.errors import InputError
from gwa_attrib.exporting import with_scores
from gwa_attrib.store import Run
from tests.exporting.exported_runs import arrays, audited, image_folder, run_of, table, texts

datasets = pytest.importorskip("datasets", reason="needs the extra hf")
NAMES = ["cat", "dog", "bird"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Sample 7 is never seen."""
    return run_of(tmp_path_factory.mktemp("h"), NAMES, seen=[np.delete(np.arange(60), 7)] * 6)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of what datasets imports
        yield


def labels_of(run: Run) -> np.ndarray:
    labels = run.labels.copy()
    labels[7] = 1
    return labels


def dataset_of(run: Run, form: str = "classes") -> Any:
    labels, x = labels_of(run), list(range(60))
    if form == "names":
        return datasets.Dataset.from_dict({"x": x, "label": [NAMES[label] for label in labels]})
    found = datasets.Dataset.from_dict({"x": x, "label": labels.tolist()})
    return found.cast_column("label", datasets.ClassLabel(names=NAMES)) if form == "classes" else found


@pytest.mark.parametrize("form", ["classes", "names", "numbers"])
def test_columns_are_our_scores(run: Run, form: str) -> None:
    before, frame = dataset_of(run, form), gwa.rank(run).to_frame()
    found = with_scores(before, run)
    assert found["x"][:] == before["x"][:]
    for name in ("label_score", "is_label_issue", "rank"):
        np.testing.assert_array_equal(np.array(found[name][:], dtype=float), frame[name].astype(float))
    proposed = gwa.rank(run).columns["predicted_label"]
    expected = [name if name is None or form == "names" else NAMES.index(name) for name in proposed]
    assert found["predicted_label"][:] == expected
    assert expected[7] is None
    assert found.features["predicted_label"] == before.features["label"]


def test_suspects_and_the_rest_are_all(run: Run) -> None:
    frame = gwa.rank(run).to_frame()
    suspects, rest = (with_scores(dataset_of(run), run, keep=keep) for keep in ("suspects", "rest"))
    assert sorted([*suspects["sample_id"][:], *rest["sample_id"][:]]) == list(range(60))
    assert suspects["sample_id"][:] == frame[frame["is_label_issue"]].sort_values("label_score").index.tolist()
    assert not any(rest["is_label_issue"][:])
    assert 7 in rest["sample_id"][:]
    worst = with_scores(dataset_of(run), gwa.rank(run), k=3)
    assert worst["sample_id"][:] == gwa.rank(run).top(3).tolist()
    assert len(with_scores(dataset_of(run), run, keep="suspects", k=1000)) == 59


def test_removing_suspects_is_what_the_decisions_do(run: Run) -> None:
    rest = with_scores(dataset_of(run), run, keep="rest")
    dropped = gwa.apply(run, "drop").to_huggingface(dataset_of(run))
    assert rest["x"][:] == dropped["x"][:]
    assert rest["label"][:] == dropped["label"][:]


def test_what_cannot_be_joined_is_refused(run: Run, tmp_path: Path) -> None:
    whole = dataset_of(run)
    with pytest.raises(InputError, match="without streaming=True"):
        with_scores(whole.to_iterable_dataset(), run)
    with pytest.raises(InputError, match="train"):
        with_scores(datasets.DatasetDict({"train": whole}), run)
    with pytest.raises(InputError, match="59 rows"):
        with_scores(whole.select(range(59)), run)
    with pytest.raises(InputError, match="columns 'x', 'label'"):
        with_scores(whole, run, label_column="y")
    with pytest.raises(InputError, match="remove_columns"):
        with_scores(with_scores(whole, run), run)
    with pytest.raises(InputError, match="the labels of the run"):
        with_scores(whole.select([*range(1, 60), 0]), run)
    with pytest.raises(InputError, match="keep to be"):
        with_scores(whole, run, keep="some")  # type: ignore[arg-type]
    clean = run_of(tmp_path, NAMES, flipped=0)
    with pytest.raises(InputError, match="no suspect"):
        with_scores(dataset_of(clean), clean, keep="suspects")
    assert len(with_scores(dataset_of(clean), clean, keep="rest")) == 60


def test_folders_open_with_load_from_disk(tmp_path: Path) -> None:
    source = image_folder(tmp_path / "photos", ["cat & co", "dog"])
    for name, run in {
        "folder": audited(tmp_path / "1", source),
        "arrays": audited(tmp_path / "2", arrays(tmp_path / "a.npz")),
        "texts": audited(tmp_path / "3", texts(tmp_path / "t.csv")),
        "table": audited(tmp_path / "4", table(tmp_path / "b.csv")),
    }.items():
        exported = gwa.export(run, "huggingface", tmp_path / "out" / name)
        found = datasets.load_from_disk(str(exported.path))
        frame = gwa.rank(run).to_frame()
        assert exported.samples == len(found) == len(frame)
        np.testing.assert_array_equal(found["label_score"][:], frame["label_score"])
        assert found.features["label"].names == list(run.class_names)
        assert [run.class_names[label] for label in found["label"]] == frame["given_label"].tolist()
        if name == "arrays":
            np.testing.assert_array_equal(np.asarray(found[5]["image"]), np.load(tmp_path / "a.npz")["X"][5])
        if name == "folder":
            assert found[3]["image"].size == (5, 6)
        if name == "texts":
            assert found[1]["text"].startswith("=SUM(A1)")
        if name == "table":
            assert found[3]["<height>"] is None
    assert gwa.export(run, "huggingface", k=4).samples == 4
