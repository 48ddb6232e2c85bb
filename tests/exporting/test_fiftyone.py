"""FiftyOne's layout on disk. Its package needs a database, so what is checked is what its importer (1.22) reads."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import gwa_attrib as gwa
from gwa_attrib.errors import InputError
from gwa_attrib.exporting import fiftyone_samples
from tests.exporting.exported_runs import HOSTILE, arrays, audited, image_folder, run_of, texts

RESERVED = {"id", "_id", "metadata", "created_at", "last_modified_at", "_dataset_id", "_rand"}


def read(folder: Path) -> list[dict]:
    """As the importer does: no version in metadata.json, samples in a list, relative names below the folder."""
    metadata = json.loads((folder / "metadata.json").read_text())
    assert "version" not in metadata
    assert metadata["media_type"] == "image"
    samples = json.loads((folder / "samples.json").read_text())["samples"]
    for sample in samples:
        assert (folder / sample["filepath"]).is_file()
        assert not RESERVED & set(sample)
        assert all(isinstance(tag, str) for tag in sample["tags"])
        for name in ("given_label", "predicted_label"):
            assert sample[name]["_cls"] == "Classification"
            assert set(sample[name]) <= {"_cls", "label", "confidence"}
    return samples


def test_arrays_become_files(tmp_path: Path) -> None:
    source = arrays(tmp_path / "a.npz")
    run = audited(tmp_path, source)
    samples = read(gwa.export(run, "fiftyone").path)
    frame = gwa.rank(run).to_frame()
    pixels = np.load(source)["X"]
    assert [s["run_sample_id"] for s in samples] == frame.index.tolist()
    for sample, facts in zip(samples, frame.itertuples(), strict=True):
        image = Image.open(run.path / "exports" / "fiftyone" / sample["filepath"])
        np.testing.assert_array_equal(np.asarray(image), pixels[sample["run_sample_id"]])
        assert sample["label_score"] == pytest.approx(facts.label_score)
        assert sample["given_label"]["label"] == facts.given_label
        assert sample["predicted_label"]["label"] == facts.predicted_label
        assert 0 <= sample["predicted_label"]["confidence"] <= 1
        assert ("suspect" in sample["tags"]) == facts.is_label_issue


def test_files_stay_where_they_are(tmp_path: Path) -> None:
    source = image_folder(tmp_path / "photos", ["cat & co", "dog"])
    run = audited(tmp_path, source)
    exported = gwa.export(run, "fiftyone", tmp_path / "fo", k=5)
    samples = read(exported.path)
    assert sorted(p.name for p in exported.path.iterdir()) == ["metadata.json", "samples.json"]
    assert [s["run_sample_id"] for s in samples] == gwa.rank(run).top(5).tolist()
    assert all(Path(s["filepath"]) == source.absolute() / s["key"] for s in samples)


def test_rows_of_samples_without_scores(tmp_path: Path) -> None:
    run = run_of(tmp_path, HOSTILE, seen=[np.delete(np.arange(66), 7)] * 6)
    frame = gwa.rank(run).to_frame()
    rows = fiftyone_samples(frame, {i: f"{i}.png" for i in frame.index})
    assert rows[7]["label_score"] is rows[7]["given_label"] is rows[7]["predicted_label"] is None
    json.dumps(rows, allow_nan=False)


def test_texts_are_refused(tmp_path: Path) -> None:
    run = audited(tmp_path, texts(tmp_path / "t.csv"))
    with pytest.raises(InputError, match="samples of the kind text"):
        gwa.export(run, "fiftyone")
    assert not (run.path / "exports").exists()
