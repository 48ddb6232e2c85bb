"""A run may come from anywhere: files of other runs, links, impossible numbers and names are refused by name."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gwa_attrib as gwa
from gwa_attrib.auditing.models import TRUST, trusted_model
from gwa_attrib.errors import RunError, RunFormatError, UntrustedModelError
from gwa_attrib.store import Run, inspect, open_run
from gwa_attrib.store.kept import kept_features
from gwa_attrib.store.schema import PartName
from tests.store.mutations import base_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return base_run(tmp_path / "run")


def observations(run: Run, epoch: int) -> Path:
    return run.path / "observations" / str(PartName(epoch))


@pytest.mark.parametrize("folder", ["observations", "probe", "layers", "epochs"])
def test_a_file_of_another_run_is_named(run: Run, tmp_path: Path, folder: str) -> None:
    """The same samples, the same classes, other numbers."""
    other = base_run(tmp_path / "other")
    name = f"{folder}/{PartName(1)}"
    shutil.copy(other.path / name, run.path / name)
    with pytest.raises(RunFormatError, match=rf"epoch=00001.*{other.run_id}"):
        _ = (run.trajectory("loss"), run.trajectory("loss", table="probe"), run.layer_observations(), run.epochs())


def test_the_samples_of_another_run_are_named(run: Run, tmp_path: Path) -> None:
    shutil.copy(base_run(tmp_path / "other").path / "samples.parquet", run.path / "samples.parquet")
    with pytest.raises(RunFormatError, match=r"samples\.parquet"):
        _ = run.samples


def test_a_file_under_the_name_of_another_epoch_is_named(run: Run) -> None:
    shutil.copy(observations(run, 0), observations(run, 1))
    with pytest.raises(RunFormatError, match=r"epoch=00001.*epoch=00000"):
        run.trajectory("loss")


def test_files_that_do_not_say_their_run_are_read_and_their_epoch_is_checked(run: Run) -> None:
    """As an earlier version wrote them."""
    expected = run.trajectory("loss")
    for epoch in range(3):
        table = pq.read_table(observations(run, epoch))
        pq.write_table(table.replace_schema_metadata(None), observations(run, epoch))
    assert (run.trajectory("loss") == expected).all()
    shutil.copy(observations(run, 0), observations(run, 1))
    with pytest.raises(RunFormatError, match=r"epoch=00001.*\[0\]"):
        run.trajectory("loss")


def test_a_link_is_followed_to_a_file_of_the_run_only(run: Run, tmp_path: Path) -> None:
    """As object caches lay them; but a run must not make its reader's own tables its samples."""
    expected = run.trajectory("loss")
    moved = tmp_path / "cache"
    observations(run, 1).rename(moved)
    observations(run, 1).symlink_to(moved)
    assert (run.trajectory("loss") == expected).all()
    secret = tmp_path / "salaries.parquet"
    pq.write_table(pq.read_table(run.path / "samples.parquet").replace_schema_metadata(None), secret)
    (run.path / "samples.parquet").unlink()
    (run.path / "samples.parquet").symlink_to(secret)
    with pytest.raises(RunFormatError, match="link"):
        _ = open_run(run.path).samples


@pytest.mark.parametrize("folder", ["_tmp", "observations", "checkpoints"])
def test_replacing_a_run_deletes_nothing_behind_a_link(run: Run, tmp_path: Path, folder: str) -> None:
    precious = tmp_path / "documents" / "thesis.tex"
    precious.parent.mkdir()
    precious.write_text("mine")
    shutil.rmtree(run.path / folder, ignore_errors=True)
    (run.path / folder).symlink_to(precious.parent)
    with pytest.raises(RunError, match="link"):
        gwa.store.RunWriter.create(run.path, run.info, overwrite=True)
    assert precious.read_text() == "mine"


IMPOSSIBLE: dict[str, Any] = {
    "class_names": ["abc", 5, {"a": 1}, [1, 2], [None], None],
    "num_samples": [-1, 2**70, "9", 1.5, None, True],
    "config": [None, [], "x"],
    "layers": ["all", 3, [1]],
    "signals": [1, [None]],
    "run_id": [None, 3, ["x"]],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in IMPOSSIBLE.items() for value in values])
def test_facts_of_another_kind_are_named(run: Run, name: str, value: Any) -> None:
    (run.path / "run.json").write_text(json.dumps({**run.info, name: value}))
    with pytest.raises(RunFormatError, match=name):
        open_run(run.path)


def test_deeply_nested_json_is_refused(run: Run) -> None:
    (run.path / "run.json").write_text("[" * 1_000_000)
    with pytest.raises(RunFormatError, match=r"run\.json"):
        open_run(run.path)


def change(run: Run, name: str, values: Callable[[pa.Table], pa.Array]) -> None:
    file = observations(run, 1)
    table = pq.read_table(file)
    i = table.column_names.index(name)
    pq.write_table(table.set_column(i, pa.field(name, (new := values(table)).type), new), file)


@pytest.mark.parametrize(("name", "bad"), [("pred", 3), ("pred", -1), ("label", 99), ("label", None), ("pred", None)])
def test_classes_that_the_run_does_not_have_are_named(run: Run, name: str, bad: int | None) -> None:
    change(run, name, lambda table: pa.array([bad, *table[name].to_pylist()[1:]], pa.int32()))
    with pytest.raises(RunFormatError, match=rf"{name}.*epoch=00001|epoch=00001.*{name}|missing"):
        list(run.by_epoch("pred", "alignment")) and run.observations()


@pytest.mark.parametrize("kind", [pa.float64(), pa.string(), pa.int32(), pa.list_(pa.float32())])
def test_a_column_of_another_type_is_named(run: Run, kind: pa.DataType) -> None:
    change(run, "loss", lambda table: pa.nulls(len(table), kind))
    with pytest.raises(RunFormatError, match=r"loss.*epoch=00001"):
        run.trajectory("loss")


def test_a_file_far_in_the_future_does_not_keep_inspect_busy(run: Run) -> None:
    table = pq.read_table(observations(run, 2)).replace_schema_metadata(None)
    far = table.set_column(1, table.schema.field(1), pa.array([999_999_999] * len(table), pa.int32()))
    pq.write_table(far, observations(run, 999_999_999))
    assert inspect(run)["missing_epochs"][:2] == [3, 4]


def test_features_that_are_no_numbers_are_refused(run: Run) -> None:
    import numpy as np

    np.save(run.path / "features.npy", np.full((6, 2), np.nan, dtype=np.float32))
    with pytest.raises(RunFormatError, match=r"features\.npy"):
        kept_features(run)


def test_a_run_does_not_choose_what_is_executed(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = "runs.a.payload:go"
    with pytest.raises(UntrustedModelError, match=TRUST):
        trusted_model(spec)
    monkeypatch.setenv(TRUST, spec)
    assert trusted_model(spec) == spec
    assert trusted_model("auto") == "auto"
    assert trusted_model("gwa_attrib.auditing.models:mlp") == "gwa_attrib.auditing.models:mlp"
