"""Runs in an object store: fsspec's memory file system stands for one."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import gwa_attrib as gwa
from gwa_attrib.errors import InputError, MissingDependencyError, RunError, RunExistsError
from gwa_attrib.files.places import place
from gwa_attrib.store import Run, inspect, open_run
from gwa_attrib.store.compaction import compact
from tests import loops
from tests.loops import SAMPLES, Classifier

upath = pytest.importorskip("upath", reason="needs the extra remote")
ADDRESS = "memory://bucket/run"
EPOCHS = 4


@pytest.fixture(autouse=True)
def _empty_store() -> Iterator[None]:
    from fsspec.implementations.memory import MemoryFileSystem

    yield
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


def recorded(path: str | Path, epochs: int = EPOCHS, **options: object) -> Run:
    torch.manual_seed(0)
    model = Classifier()
    with gwa.record(model, path, num_samples=SAMPLES, **options) as recorder:
        loops.train(recorder, model, epochs=epochs)
    return open_run(path)


def same(found: Run, expected: Run) -> None:
    assert found.epoch_numbers == expected.epoch_numbers
    assert found.samples.equals(expected.samples)
    for name in ("alignment", "loss", "pred", "grad_norm"):
        np.testing.assert_array_equal(found.trajectory(name), expected.trajectory(name))
    columns = ["n", "mean", "coverage", "online_loss"]
    assert found.epochs()[columns].equals(expected.epochs()[columns])


def test_a_run_in_a_store_is_the_run_in_a_folder(tmp_path: Path) -> None:
    found, expected = recorded(ADDRESS, layers="all"), recorded(tmp_path / "run", layers="all")
    same(found, expected)
    for layer in found.layers:
        np.testing.assert_array_equal(found.trajectory("dot", layer), expected.trajectory("dot", layer))
    facts, others = inspect(found), inspect(expected)
    assert facts["run"] == ADDRESS
    for name in ("status", "epochs", "observations", "missing_epochs", "open_epoch"):
        assert facts[name] == others[name]
    assert facts["bytes_of_column"].keys() == others["bytes_of_column"].keys()
    ranked = [gwa.rank(run, "mislabeled").to_frame() for run in (found, expected)]
    assert ranked[0].equals(ranked[1])
    rows = [run.observations_of(3)["loss"].tolist() for run in (found, expected)]
    assert rows[0] == rows[1]
    assert not list(tmp_path.glob("**/memory*"))


@pytest.mark.filterwarnings("ignore:Dask support is moving out of Narwhals")
@pytest.mark.parametrize("engine", ["duckdb", "pyarrow", "dask"])
def test_other_engines_read_it(engine: str) -> None:
    if engine == "dask":
        pytest.importorskip("dask.dataframe", reason="needs the extra dask")
    run = recorded(ADDRESS)
    frame = run.scan(engine).select("sample_id", "loss")
    rows = (frame if engine == "pyarrow" else frame.collect()).to_pandas()
    assert len(rows) == SAMPLES * EPOCHS
    assert rows["loss"].sum() == pytest.approx(run.trajectory("loss").sum(), rel=1e-5)


@pytest.mark.parametrize("engine", ["polars", "pyspark"])
def test_engines_with_readers_of_their_own_are_named(engine: str) -> None:
    with pytest.raises(InputError, match="duckdb, pyarrow or dask"):
        recorded(ADDRESS).scan(engine)


def test_it_is_compacted_and_gone_on_with(tmp_path: Path) -> None:
    before = recorded(ADDRESS, 2)
    expected = before.trajectory("loss")
    assert compact(before) > 0
    np.testing.assert_array_equal(open_run(ADDRESS).trajectory("loss"), expected)
    recorder = gwa.record(Classifier(), ADDRESS, num_samples=SAMPLES, resume=True)
    assert len(recorder.epochs()) == 2
    with recorder:
        loops.train(recorder, Classifier(), epochs=0)
    recorder.rewind(0)
    assert open_run(ADDRESS).epoch_numbers == ()


def test_a_run_that_is_there_is_replaced_only_if_asked() -> None:
    recorded(ADDRESS)
    with pytest.raises(RunExistsError, match="overwrite"):
        gwa.record(Classifier(), ADDRESS, num_samples=SAMPLES)
    assert recorded(ADDRESS, 1, overwrite=True).epoch_numbers == (0,)
    place("memory://bucket/other").joinpath("thesis.txt").write_text("mine")
    with pytest.raises(RunExistsError, match="never overwritten"):
        gwa.record(Classifier(), "memory://bucket/other", num_samples=SAMPLES, overwrite=True)


def test_a_store_that_fails_stops_the_epoch_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    model = Classifier()
    with gwa.record(model, ADDRESS, num_samples=SAMPLES) as recorder:
        for ids in torch.arange(SAMPLES).split(6):
            loops.backward(model, ids.tolist())
            recorder.step(loops.Told().y[ids], sample_ids=ids)
        with monkeypatch.context() as broken:
            broken.setattr(MemoryFileSystem, "put_file", lambda *_, **__: (_ for _ in ()).throw(ValueError("no net")))
            with pytest.raises(RunError, match="no net"):
                recorder.end_epoch()
        recorder.end_epoch()
    assert open_run(ADDRESS).epochs()["coverage"].tolist() == [1.0]


def test_what_needs_a_folder_says_so(tmp_path: Path) -> None:
    run = recorded(ADDRESS)
    page = gwa.report(run, tmp_path / "report.html", data=loops.Told())
    assert page.stat().st_size > 10_000
    for refused in (
        lambda: gwa.report(run),
        lambda: gwa.report(run, "memory://bucket/report.html"),
        lambda: gwa.audit("digits", "memory://bucket/audit"),
        lambda: gwa.audit("digits", Path("s3://bucket/audit")),
        lambda: gwa.export(run, "csv"),
    ):
        with pytest.raises(InputError, match="on this machine"):
            refused()


def test_addresses_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"without pathlib\.Path around it"):
        open_run(Path("s3://bucket/run"))
    with pytest.raises(MissingDependencyError, match="nothing"):
        open_run("nothing://bucket/run")
    monkeypatch.setitem(__import__("sys").modules, "upath", None)
    with pytest.raises(MissingDependencyError, match=r"gwa-attrib\[remote\]"):
        open_run(ADDRESS)
