"""A cleaned copy has the form of its source and all that was not decided on; the source is only read."""

import csv
import hashlib
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import gwa_attrib as gwa
from gwa_attrib.cleaning.copies import copies
from gwa_attrib.cleaning.decisions import Decisions, decisions_of
from gwa_attrib.datasets import load
from gwa_attrib.datasets.readers.registry import readers
from gwa_attrib.errors import DataError, InputError, NotRecordedError, RunExistsError
from gwa_attrib.store import Run

N = 60
RNG = np.random.default_rng(0)
CLASSES = RNG.integers(0, 3, N)
VALUES = (CLASSES[:, None] * 2 + RNG.normal(size=(N, 4))).round(3)
NAMES = np.array(["cat", "dog, big", "=owl"])


def csv_file(folder: Path) -> Path:
    """Quotes, leading zeros, a missing value, and ten rows beyond the limit of the audit."""
    lines = [["id", "class", "a", "b", "note"]]
    for i, (label, (a, b, *_)) in enumerate(zip(CLASSES, VALUES, strict=True)):
        lines.append([f"{i:03d}", f"{label}.0", str(a), "" if i == 4 else f"{b:.2f}", 'x "y"\nz' if i % 2 else "0010"])
    path = folder / "table.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\r\n").writerows(lines)
    return path


def parquet_file(folder: Path) -> Path:
    """A dictionary of class names, and metadata of another program."""
    table = pa.table({"label": pa.array(NAMES[CLASSES]).dictionary_encode(), "a": VALUES[:, 0], "b": VALUES[:, 1]})
    pq.write_table(table.replace_schema_metadata({"made by": "someone"}), folder / "table.parquet")
    return folder / "table.parquet"


def npz_file(folder: Path) -> Path:
    np.savez(folder / "arrays.npz", X=VALUES, y=NAMES[CLASSES], extra=np.arange(N))
    return folder / "arrays.npz"


def image_folder(folder: Path) -> Path:
    """Every class has files of the same names; one file cannot be read; one lies deeper; one is a link."""
    root = folder / "photos"
    for i, label in enumerate(CLASSES):
        place = root / f"class {label}" / ("deep" if i == 0 else "") / f"{(CLASSES[:i] == label).sum()}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8), 40 + 60 * label + i, dtype=np.uint8)).save(place)
    (root / "class 1" / "broken.png").write_bytes(b"no image")
    return root


SOURCES = {"csv": csv_file, "parquet": parquet_file, "npz": npz_file, "image-folder": image_folder}


def digest(path: Path) -> str:
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    facts = [(str(f.relative_to(path)), f.stat().st_mtime_ns, f.read_bytes()) for f in files if f.is_file()]
    return hashlib.sha256(repr(facts).encode()).hexdigest()


@pytest.fixture(scope="module", params=list(SOURCES))
def audited(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Run]:
    folder = tmp_path_factory.mktemp(request.param)
    source = SOURCES[request.param](folder)
    limit = 50 if request.param == "csv" else None
    column = "class" if request.param == "csv" else None
    gwa.audit(source, folder / "run", epochs=1, budget="fast", limit=limit, label_column=column)
    return source, gwa.open_run(folder / "run")


@pytest.fixture(scope="module")
def decided(audited: tuple[Path, Run]) -> Decisions:
    """Samples 0 and 3 to the next class, 5 and 8 dropped, 9 kept."""
    run = audited[1]
    labels = np.array([(run.labels[0] + 1) % 3, (run.labels[3] + 1) % 3, -1, -1, run.labels[9]])
    return decisions_of(run, np.array([0, 3, 5, 8, 9]), ("relabel", "relabel", "drop", "drop", "keep"), labels)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_copy_reads_as_decided(audited: tuple[Path, Run], decided: Decisions, tmp_path: Path) -> None:
    source, run = audited
    before = digest(source)
    cleaned = gwa.apply(run, decided, tmp_path / "out")
    assert digest(source) == before
    assert cleaned.path is not None
    assert (cleaned.counts["written"], cleaned.counts["damaged"]) == (N - 2, int(source.is_dir()))
    column = run.info["config"]["label_column"]
    old = load(source, label_column=column)
    new = load(cleaned.path, label_column=column)
    names = np.array(old.class_names)[old.labels].tolist()
    for row, label in zip([0, 3], decided.labels, strict=False):
        names[row] = run.class_names[label]
    left = [i for i in range(len(old)) if i not in (5, 8)]
    if old.kind == "image":
        content = {bytes(np.asarray(x)): name for x, name in zip(old.inputs, names, strict=True)}
        assert len(new) == len(left)
        for x, label in zip(new.inputs, new.labels, strict=True):
            assert new.class_names[label] == content[bytes(np.asarray(x))]
    else:
        assert [new.class_names[label] for label in new.labels] == [names[i] for i in left]
        pd.testing.assert_frame_equal(new.inputs, old.inputs.iloc[left].reset_index(drop=True))
    assert not [p for p in tmp_path.rglob("*") if p.name.endswith(".half")]


def test_a_csv_keeps_its_text(tmp_path: Path) -> None:
    source = csv_file(tmp_path)
    gwa.audit(source, tmp_path / "run", epochs=1, budget="fast", limit=50, label_column="class")
    run = gwa.open_run(tmp_path / "run")
    label = (run.labels[:1] + 1) % 3
    gwa.apply(run, decisions_of(run, np.array([0, 7]), ("relabel", "drop"), np.array([label[0], -1])), tmp_path / "o")
    old, new = rows(source), rows(tmp_path / "o" / "table.csv")
    assert len(old) == N
    assert new[0].pop("class") == f"{label[0]}.0"
    assert old[0].pop("class") == f"{CLASSES[0]}.0"
    del old[7]
    assert new == old
    assert b"\r\n" in (tmp_path / "o" / "table.csv").read_bytes()


def test_a_parquet_keeps_its_types_and_notes(tmp_path: Path) -> None:
    source = parquet_file(tmp_path)
    gwa.audit(source, tmp_path / "run", epochs=1, budget="fast")
    run = gwa.open_run(tmp_path / "run")
    gwa.apply(run, decisions_of(run, np.array([2]), ("drop",), np.array([-1])), tmp_path / "clean.parquet")
    new, old = pq.read_table(tmp_path / "clean.parquet"), pq.read_table(source)
    assert new.schema.equals(old.schema, check_metadata=True)
    assert new.equals(old.take([0, 1, *range(3, N)]))


def test_files_of_an_image_folder_are_copied_byte_for_byte(tmp_path: Path) -> None:
    source = image_folder(tmp_path)
    gwa.audit(source, tmp_path / "run", epochs=1, budget="fast")
    run = gwa.open_run(tmp_path / "run")
    key = "class 0/1.png"
    row = run.samples.index[run.samples["key"] == key][0]
    cleaned = gwa.apply(run, decisions_of(run, np.array([row]), ("relabel",), np.array([1])), tmp_path / "out")
    files = {p.relative_to(tmp_path / "out").as_posix(): p.read_bytes() for p in (tmp_path / "out").rglob("*.png")}
    old = {p.relative_to(source).as_posix(): p.read_bytes() for p in source.rglob("*.png")}
    assert files.pop("class 1/1-class 0.png") == old.pop(key)
    assert old.pop("class 1/broken.png") == b"no image"  # is not copied
    assert files == old  # class 1/1.png among them
    assert cleaned.counts == {"dropped": 0, "relabelled": 1, "left": 60, "written": 60, "damaged": 1}
    assert len(files) + 1 == cleaned.counts["written"]


def test_built_in_digits_become_an_npz(tmp_path: Path) -> None:
    gwa.audit("digits", tmp_path / "run", epochs=1, budget="fast", limit=100, flip=0.1)
    run = gwa.open_run(tmp_path / "run")
    row = int(np.flatnonzero(run.samples["label_before_flip"] != run.labels.astype(str))[0])
    wrong = np.array([[row], [0]])[:, 0]
    right = np.array([int(run.samples["label_before_flip"][row]), -1])
    cleaned = gwa.apply(run, decisions_of(run, np.sort(wrong), ("drop", "relabel"), right[::-1]), tmp_path / "out")
    assert cleaned.path == tmp_path / "out" / "digits.npz"
    with np.load(cleaned.path) as file:
        assert file["X"].shape == (99, 8, 8)
        assert file["y"].dtype == np.int64
        assert file["y"][row - 1] == right[0]
        np.testing.assert_array_equal(file["y"], cleaned.labels)


def test_nothing_is_overwritten_and_half_copies_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = npz_file(tmp_path)
    gwa.audit(source, tmp_path / "run", epochs=1, budget="fast")
    run = gwa.open_run(tmp_path / "run")
    one = decisions_of(run, np.array([2]), ("drop",), np.array([-1]))
    before = digest(source)
    for taken in (source, tmp_path):
        with pytest.raises(RunExistsError):
            gwa.apply(run, one, taken)
    assert digest(source) == before

    def full(path: Path, **_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(OSError, match="No space"):
        gwa.apply(run, one, tmp_path / "clean.npz")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["arrays.npz", "run"]


def test_a_folder_is_not_copied_into_itself(tmp_path: Path) -> None:
    source = image_folder(tmp_path)
    gwa.audit(source, tmp_path / "run", epochs=1, budget="fast")
    with pytest.raises(RunExistsError, match="in the source"):
        gwa.apply(tmp_path / "run", "drop", source / "clean")


def test_a_source_that_has_changed_is_not_copied(tmp_path: Path) -> None:
    source = npz_file(tmp_path)
    gwa.audit(source, tmp_path / "run", epochs=1, budget="fast")
    run = gwa.open_run(tmp_path / "run")
    one = decisions_of(run, np.array([2]), ("drop",), np.array([-1]))
    corrected = NAMES[CLASSES]
    corrected[11] = NAMES[(CLASSES[11] + 1) % 3]
    np.savez(source, X=VALUES, y=corrected, extra=np.arange(N))
    with pytest.raises(InputError, match="sample 11"):
        gwa.apply(run, one, tmp_path / "clean.npz")
    np.savez(source, X=VALUES + 1, y=corrected, extra=np.arange(N))
    with pytest.raises(NotRecordedError, match="changed"):
        gwa.apply(run, one, tmp_path / "clean.npz")
    source.unlink()
    with pytest.raises(NotRecordedError, match="no such file"):
        gwa.apply(run, one, tmp_path / "clean.npz")
    assert gwa.apply(run, one).counts["dropped"] == 1  # what needs no source works without


def test_a_file_that_goes_while_copying_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = image_folder(tmp_path)
    gwa.audit(source, tmp_path / "run", epochs=1, budget="fast")

    def gone(*_: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(shutil, "copy2", gone)
    with pytest.raises(DataError, match="it has gone"):
        gwa.apply(tmp_path / "run", "drop", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_every_source_that_is_read_can_be_copied() -> None:
    assert set(copies.names()) == set(readers.names())
