"""A run belongs to its owner: pandas, polars, DuckDB and pyarrow read it in one line each, and see the same values."""

from collections.abc import Callable
from pathlib import Path

import duckdb
import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from gwa_attrib.errors import InputError
from gwa_attrib.store import Run
from gwa_attrib.store.schema import PartName
from tests.store import written_runs as runs
from tests.store.engines import ALL, ENGINES, collected

READERS: dict[str, Callable[[Path], pd.DataFrame]] = {
    "pandas": lambda folder: pd.read_parquet(folder),
    "polars": lambda folder: pd.DataFrame(pl.read_parquet(f"{folder}/*.parquet").to_dict(as_series=False)),
    "duckdb": lambda folder: duckdb.sql(f"select * from '{folder}/*.parquet'").df(),
    "pyarrow": lambda folder: pq.read_table(folder).to_pandas(),
    "pyarrow.dataset": lambda folder: ds.dataset(folder).to_table().to_pandas(),
}
PLAIN = ["sample_id", "epoch", "step", "label", "pred", "alignment", "loss", "margin", "learning_rate"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return runs.three_epochs(tmp_path / "run")


@pytest.mark.parametrize("engine", list(READERS))
def test_reads_the_observations_in_one_line(engine: str, run: Run) -> None:
    found = READERS[engine](run.path / "observations").sort_values(["epoch", "step"], ignore_index=True)
    expected = run.observations().to_pandas().sort_values(["epoch", "step"], ignore_index=True)
    assert list(found.columns) == list(expected.columns)
    pd.testing.assert_frame_equal(found[PLAIN].astype(float), expected[PLAIN].astype(float))
    for name in ("top_class", "top_prob"):
        assert [[float(x) for x in top] for top in found[name]] == [[float(x) for x in top] for top in expected[name]]


@pytest.mark.parametrize("engine", list(READERS))
def test_reads_epochs_whose_first_has_nothing_to_compare_with(engine: str, tmp_path: Path) -> None:
    """The first epoch has no earlier predictions, and metrics come and go: the files still have one schema."""
    writer = runs.begin(tmp_path / "run")
    for epoch, metrics in enumerate([{}, {"val_accuracy": 0.5}, {"other": 1.0}]):
        row = runs.summary(PartName(epoch), metrics=metrics)
        writer.write_epoch(PartName(epoch), {**row, "changed": None if epoch == 0 else 3})
    found = READERS[engine](tmp_path / "run" / "epochs").sort_values("epoch", ignore_index=True)
    assert found["epoch"].tolist() == [0, 1, 2]
    assert found["changed"].isna().tolist() == [True, False, False]
    assert found["n"].tolist() == [1, 1, 1]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_query_is_written_once(engine: str, run: Run) -> None:
    frame = run.scan(engine).group_by("sample_id").agg(nw.col("margin").mean(), n=nw.len()).sort("sample_id")
    found = collected(frame)
    expected = run.observations().to_pandas().groupby("sample_id")["margin"].agg(["mean", "size"])
    assert found["sample_id"].tolist() == expected.index.tolist()
    assert found["margin"].tolist() == pytest.approx(expected["mean"].tolist())
    assert found["n"].tolist() == expected["size"].tolist()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_query_sees_the_latest_attempt_only(engine: str, tmp_path: Path) -> None:
    rows = {PartName(0, 0, 0): [runs.row(0)], PartName(0, 0, 1): [runs.row(1)], PartName(1, 0, 0): [runs.row(2)]}
    frame = runs.write(tmp_path / "run", rows).scan(engine).sort("epoch")
    found = collected(frame)
    assert found["sample_id"].tolist() == [1, 2]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_path_with_spaces_and_wildcards_is_a_path(engine: str, tmp_path: Path) -> None:
    run = runs.three_epochs(tmp_path / "my run [1] 'a' *")
    frame = run.scan(engine)
    found = collected(frame)
    assert len(found) == 12


def test_an_unknown_engine_is_refused_with_the_known_ones(run: Run) -> None:
    with pytest.raises(InputError, match=", ".join(ALL)):
        run.scan("excel")


@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_without_epochs_cannot_be_scanned(engine: str, tmp_path: Path) -> None:
    runs.begin(tmp_path / "run")
    from gwa_attrib.store import open_run

    with pytest.raises(OSError, match="end_epoch"):
        open_run(tmp_path / "run").scan(engine)


CONDITIONS: dict[str, Callable[[nw.Expr], nw.Expr]] = {
    "is_nan": lambda x: x.is_nan(),
    "not 1": lambda x: x != 1.0,
    "not below 5": lambda x: ~(x < 5.0),
    "above 5 or NaN": lambda x: (x > 5.0) | x.is_nan(),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("known", [(1.0, 1.0), (1.0, 2.0)], ids=["all equal", "different"])
@pytest.mark.parametrize("condition", CONDITIONS)
def test_no_engine_skips_rows_with_nan(engine: str, known: tuple[float, float], condition: str, tmp_path: Path) -> None:
    """What a file notes of its smallest and largest values leaves NaN out, and engines skip rows by it."""
    values = [*known, float("nan")]
    rows = [runs.row(i, alignment=np.float32(value)) for i, value in enumerate(values)]
    frame = runs.write(tmp_path / "run", {PartName(0): rows}).scan(engine)
    expected = {"is_nan": [2], "not below 5": [2], "above 5 or NaN": [2], "not 1": [1, 2] if known[1] != 1 else [2]}
    found = collected(frame.filter(CONDITIONS[condition](nw.col("alignment"))))
    assert sorted(found["sample_id"]) == expected[condition]


@pytest.mark.parametrize("known", [(1.0, 1.0), (1.0, 2.0)], ids=["all equal", "different"])
def test_readers_of_ones_own_choice_find_nan_too(known: tuple[float, float], tmp_path: Path) -> None:
    rows = [runs.row(i, alignment=np.float32(value)) for i, value in enumerate([*known, float("nan")])]
    folder = runs.write(tmp_path / "run", {PartName(0): rows}).path / "observations"
    assert ds.dataset(folder).to_table(filter=pc.is_nan(pc.field("alignment"))).num_rows == 1
    assert duckdb.sql(f"select count(*) from '{folder}/*.parquet' where alignment = 'nan'").fetchall() == [(1,)]
    assert np.isnan(duckdb.sql(f"select max(alignment) from '{folder}/*.parquet'").fetchall()[0][0])
    assert len(pd.read_parquet(folder, filters=[("alignment", "!=", 1.0)])) == 1 + (known[1] != 1.0)
