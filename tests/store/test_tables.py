"""The layers of a run on disk: a tidy table that belongs to its owner, whole epochs only, and matrices made of it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import duckdb
import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gwa_attrib as gwa
from gwa_attrib.errors import InputError, RunError, RunExistsError, RunFormatError
from gwa_attrib.store import Run, open_run
from gwa_attrib.store.schema import LAYER_SCHEMA, PartName
from gwa_attrib.store.writer import RunWriter
from tests import layer_loops as loops
from tests.layer_loops import BATCHES, Trial
from tests.store import written_runs as runs
from tests.store.engines import ALL, ENGINES, collected

LAYERS = ("all", "stem", "head")
SIGNALS = ("alignment", "dot", "grad_norm")
Rows = list[dict[str, Any]]


def row(sample_id: int, step: int, layer: str, **values: float) -> dict[str, Any]:
    base = sample_id + step / 8 + 100 * LAYERS.index(layer)
    given = {name: base + i / 4 for i, name in enumerate(SIGNALS)}
    return {"sample_id": sample_id, "step": step, "layer": layer, **given, **values}


def layer_rows(ids: list[int], first_step: int) -> Rows:
    """As a recorder writes them: layer after layer, in each by sample and step."""
    seen = sorted((i, first_step + k) for k, i in enumerate(ids))
    return [row(i, step, layer) for layer in LAYERS for i, step in seen]


def write_layers(writer: RunWriter, part: PartName, rows: Rows) -> None:
    numbered = [{**r, "epoch": part.epoch} for r in rows]
    writer.write_layers(part, pa.Table.from_pylist(numbered, schema=LAYER_SCHEMA))


def write(path: Path, epochs: Mapping[PartName, Rows]) -> Run:
    writer = runs.begin(path, layers=list(LAYERS))
    writer.write_samples(runs.samples([0, 1, 2, 3]))
    for part, rows in epochs.items():
        seen = [runs.row(r["sample_id"], step=r["step"]) for r in rows if r["layer"] == "all"]
        write_layers(writer, part, rows)
        writer.write_observations(part, runs.table(part, seen))
        writer.write_epoch(part, runs.summary(part))
    return open_run(path)


IDS = [[0, 1, 2, 3], [0, 1, 3], [0, 0, 1, 2, 3]]
"""Sample 2 is missing in epoch 1; sample 0 comes twice in epoch 2."""
EPOCHS = {PartName(e): layer_rows(ids, 5 * e) for e, ids in enumerate(IDS)}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return write(tmp_path / "run", EPOCHS)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A real one."""
    with Trial(tmp_path_factory.mktemp("layers") / "run", loops.convnet, loops.images()) as case:
        case.epochs([*BATCHES, [3, 0]], 3)
    return case.run


def test_the_table_is_tidy_and_sorted(recorded: Run) -> None:
    table = recorded.layer_observations()
    assert table.schema.equals(LAYER_SCHEMA, check_metadata=False)
    frame = table.to_pandas()
    assert len(frame) == 3 * (loops.SAMPLES + 2) * len(recorded.layers)
    assert not frame.duplicated(["epoch", "step", "sample_id", "layer"]).any()
    number = frame["layer"].map({name: i for i, name in enumerate(recorded.layers)}).astype(int)
    ordered = frame.assign(number=number).sort_values(["epoch", "number", "sample_id", "step"])
    assert ordered.index.tolist() == list(range(len(frame)))
    seen = recorded.observations().to_pandas()[["epoch", "step", "sample_id"]].sort_values(["step", "sample_id"])
    for layer in recorded.layers:
        mine = recorded.layer_observations(layer).to_pandas()
        assert set(mine["layer"]) == {layer}
        mine = mine[["epoch", "step", "sample_id"]].sort_values(["step", "sample_id"])
        np.testing.assert_array_equal(mine, seen)


def test_one_epoch_or_one_layer_of_the_table(run: Run) -> None:
    whole = run.layer_observations().to_pandas()
    for layer in (None, *LAYERS):
        for epoch in (None, 0, 1, 2, 9):
            expected = whole[(whole["layer"] == layer) | (layer is None)]
            expected = expected[(expected["epoch"] == epoch) | (epoch is None)]
            found = run.layer_observations(layer, epoch=epoch).to_pandas()
            np.testing.assert_array_equal(found.to_numpy(dtype=object), expected.to_numpy(dtype=object))


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("layer", LAYERS)
def test_a_trajectory_averages_duplicates_and_is_nan_where_nothing_was_seen(run: Run, layer: str, signal: str) -> None:
    frame = pd.DataFrame([{**r, "epoch": part.epoch} for part, rows in EPOCHS.items() for r in rows])
    of_layer = frame[frame["layer"] == layer]
    expected = of_layer.pivot_table(index="epoch", columns="sample_id", values=signal, aggfunc="mean")
    found = run.trajectory(signal, layer=layer)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected.to_numpy(), rtol=1e-6)
    assert np.isnan(found[1, 2])


def test_undefined_alignments_do_not_count_in_the_average(tmp_path: Path) -> None:
    rows = [row(0, step, layer, alignment=value) for layer in LAYERS for step, value in ((0, np.nan), (1, 0.5))]
    found = write(tmp_path / "run", {PartName(0): rows}).trajectory("alignment", layer="stem")
    np.testing.assert_array_equal(found, [[0.5, np.nan, np.nan, np.nan]])


def test_unknown_layers_and_signals_are_refused_with_the_known_ones(run: Run) -> None:
    for ask in (lambda: run.layer_observations("body"), lambda: run.trajectory("dot", layer="body")):
        with pytest.raises(InputError, match=r"all, stem, head.*'body'"):
            ask()
    for signal in ("loss", "margin", "nothing"):
        with pytest.raises(InputError, match="alignment"):
            run.trajectory(signal, layer="stem")


def test_a_run_of_the_head_alone_has_no_layers_and_says_how_to_get_them(tmp_path: Path) -> None:
    run = runs.three_epochs(tmp_path / "run")
    assert run.layers == ()
    asks: list[Callable[[], Any]] = [
        run.layer_observations,
        lambda: run.layer_observations("all"),
        lambda: run.trajectory("alignment", layer="all"),
        lambda: gwa.rank(run, "grand", layer="all"),
        *(lambda engine=engine: run.scan(engine, table="layers") for engine in ALL),
    ]
    for ask in asks:
        with pytest.raises(InputError, match=r"layers='all'"):
            ask()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_query_over_layers_is_written_once(engine: str, run: Run) -> None:
    frame = run.scan(engine, table="layers").group_by("layer", "epoch").agg(nw.col("dot").mean(), n=nw.len())
    native = collected(frame)
    native["layer"] = native["layer"].astype(str)
    expected = run.layer_observations().to_pandas().astype({"layer": str}).groupby(["layer", "epoch"])["dot"]
    found = native.set_index(["layer", "epoch"]).sort_index()
    np.testing.assert_allclose(found["dot"], expected.mean(), rtol=1e-6)
    assert found["n"].tolist() == expected.size().tolist()


READERS: dict[str, Callable[[Path], pd.DataFrame]] = {
    "pandas": lambda folder: pd.read_parquet(folder),
    "polars": lambda folder: pd.DataFrame(pl.read_parquet(f"{folder}/*.parquet").to_dict(as_series=False)),
    "duckdb": lambda folder: duckdb.sql(f"select * from '{folder}/*.parquet'").df(),
    "pyarrow": lambda folder: pq.read_table(folder).to_pandas(),
}


@pytest.mark.parametrize("engine", READERS)
def test_reads_the_layers_in_one_line(engine: str, recorded: Run) -> None:
    keys = ["epoch", "step", "layer", "sample_id"]
    found = READERS[engine](recorded.path / "layers").astype({"layer": str}).sort_values(keys, ignore_index=True)
    expected = recorded.layer_observations().to_pandas().astype({"layer": str}).sort_values(keys, ignore_index=True)
    assert list(found.columns) == LAYER_SCHEMA.names
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)


def test_of_an_epoch_that_was_recorded_again_only_the_latest_counts(tmp_path: Path) -> None:
    epochs = {PartName(0, 0, 0): layer_rows([0, 1], 0), PartName(0, 0, 1): layer_rows([2], 7)}
    run = write(tmp_path / "run", epochs)
    assert set(run.layer_observations()["sample_id"].to_pylist()) == {2}
    assert np.isnan(run.trajectory("dot", layer="all")[0]).tolist() == [True, True, False, True]


def test_an_epoch_whose_observations_are_missing_is_not_there(tmp_path: Path) -> None:
    """Killed between the two files: the layers come first, so that an epoch that is there is whole."""
    run = write(tmp_path / "run", {part: rows for part, rows in EPOCHS.items() if part.epoch < 2})
    before = run.layer_observations()
    write_layers(RunWriter(run.path, run.info), PartName(2), EPOCHS[PartName(2)])
    again = open_run(run.path)
    assert again.epoch_numbers == (0, 1)
    assert again.trajectory("dot", layer="all").shape == (2, 4)
    assert again.layer_observations().equals(before)
    assert len(again.scan("pyarrow", table="layers")) == len(before)


def test_layers_of_an_epoch_that_are_missing_are_named(run: Run) -> None:
    file = run.path / "layers" / str(PartName(1))
    file.unlink()
    with pytest.raises(RunFormatError, match="epoch 1"):
        run.trajectory("dot", layer="all")
    assert gwa.inspect(run)["missing_epochs"] == [1]


def test_a_damaged_file_of_layers_is_named(run: Run) -> None:
    file = run.path / "layers" / str(PartName(1))
    file.write_bytes(file.read_bytes()[:100])
    for read in (run.layer_observations, lambda: run.trajectory("dot", layer="all")):
        with pytest.raises(RunFormatError, match=file.name):
            read()


def test_a_full_disk_leaves_whole_epochs_and_the_call_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Trial(tmp_path / "run", loops.mlp, loops.vectors()) as case:
        case.epochs(BATCHES, 1)
        for ids in BATCHES:
            case.step(ids)
        for method in ("write_layers", "write_observations", "write_epoch"):

            def full(*args: Any) -> None:
                raise RunError(expected="room", found="none", todo="Free space.")

            with monkeypatch.context() as patch:
                patch.setattr(RunWriter, method, full)
                with pytest.raises(RunError):
                    case.recorder.end_epoch()
            assert case.run.trajectory("dot", layer="all").shape[0] == len(case.run.epoch_numbers)
        case.end_epoch()
    case.check()
    assert case.run.epoch_numbers == (0, 1)


def test_inspecting_counts_the_layers(run: Run) -> None:
    facts = gwa.inspect(run)
    assert facts["observations"] == sum(len(ids) for ids in IDS)
    assert facts["bytes"] == sum(path.stat().st_size for path in run.path.rglob("*") if path.is_file())
    assert facts["epochs"] == 3
    assert facts["missing_epochs"] == []


def test_replacing_a_run_removes_its_layers(tmp_path: Path) -> None:
    write(tmp_path / "run", EPOCHS)
    with pytest.raises(RunExistsError):
        Trial(tmp_path / "run", loops.mlp, loops.vectors())
    with Trial(tmp_path / "run", loops.mlp, loops.vectors(), layers="head", overwrite=True) as case:
        case.epochs(BATCHES, 1)
    assert not list((tmp_path / "run").rglob("layers/*"))
    with Trial(tmp_path / "run", loops.mlp, loops.vectors(), overwrite=True) as case:
        case.epochs(BATCHES, 1)
    case.check()


@pytest.mark.parametrize("layer", ["all", "3"])
def test_rankings_of_a_layer_are_averages_of_its_trajectory(recorded: Run, layer: str) -> None:
    alignment, norm = (recorded.trajectory(name, layer=layer) for name in ("alignment", "grad_norm"))
    expected = {
        "alignment": (alignment.mean(0), "low"),
        "grand": (norm.mean(0), "high"),
        "fraction_negative": ((alignment < 0).mean(0), "high"),
    }
    for name, (values, suspect) in expected.items():
        scores = gwa.rank(recorded, name, layer=layer)
        np.testing.assert_allclose(scores.values, values, rtol=1e-5, atol=1e-7, err_msg=name)
        assert (scores.suspect, scores.meta["layer"]) == (suspect, layer)
        assert len(scores.to_frame()) == loops.SAMPLES
    with pytest.raises(InputError, match="nowhere"):
        gwa.rank(recorded, "grand", layer="nowhere")
