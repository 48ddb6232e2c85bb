"""The verb and its targets: tables that other engines read, unknown names, places, missing packages."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer.testing

import gwa_attrib as gwa
from gwa_attrib.cli import app
from gwa_attrib.errors import InputError, MissingDependencyError, UnknownNameError
from gwa_attrib.exporting import exports
from gwa_attrib.exporting.registry import needed
from gwa_attrib.files.frames import neutralise
from gwa_attrib.store import Run
from tests.exporting.exported_runs import HOSTILE, arrays, audited, run_of, texts

TARGETS = ("datalab", "fiftyone", "huggingface", "label-studio", "csv", "parquet")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_of(tmp_path_factory.mktemp("t"), HOSTILE, keys=["=cmd()", "+1+1", *(f"k{i}" for i in range(64))])


def test_every_target_is_named_where_one_chooses(run: Run) -> None:
    assert set(exports.names()) == set(TARGETS)
    assert gwa.export.__doc__
    assert all(f'"{name}"' in gwa.export.__doc__ for name in TARGETS)
    shown = typer.testing.CliRunner().invoke(app, ["export", "--help"], env={"COLUMNS": "300"}).output
    assert all(name in shown for name in TARGETS)
    with pytest.raises(UnknownNameError, match="label-studio"):
        gwa.export(run, "excel")


def test_parquet_comes_back_in_three_engines(run: Run, tmp_path: Path) -> None:
    import duckdb
    import polars

    frame, path = gwa.rank(run).to_frame(), tmp_path / "issues.parquet"
    assert gwa.export(run, "parquet", path).samples == len(frame)
    pd.testing.assert_frame_equal(pd.read_parquet(path), frame, check_dtype=False)
    by_duckdb = duckdb.sql(f"select sample_id, label_score, given_label from '{path}' order by sample_id").fetchall()
    by_polars = polars.read_parquet(path).select("sample_id", "label_score", "given_label").rows()
    expected = list(zip(frame.index, frame["label_score"], frame["given_label"], strict=True))
    assert by_duckdb == by_polars == expected


def test_csv_comes_back_in_three_engines(run: Run, tmp_path: Path) -> None:
    import duckdb
    import polars

    frame, path = gwa.rank(run).to_frame().sort_values("rank"), tmp_path / "issues.csv"
    gwa.export(run, "csv", path)
    by_pandas = pd.read_csv(path, index_col="sample_id")
    assert by_pandas["rank"].tolist() == list(range(1, len(frame) + 1))
    by_polars = polars.read_csv(path)["label_score"].to_numpy()
    by_duckdb = duckdb.sql(f"select label_score from read_csv('{path}', quote='\"') order by rank").fetchnumpy()
    for found in (by_pandas["label_score"], by_polars, by_duckdb["label_score"]):
        np.testing.assert_allclose(found, frame["label_score"], rtol=1e-6)
    assert by_pandas["key"][[0, 1]].tolist() == ["'=cmd()", "'+1+1"]
    cells = by_pandas.select_dtypes(exclude="number").to_numpy().ravel()
    assert not [cell for cell in cells if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@"))]


def test_csv_has_the_texts_of_text_data(tmp_path: Path) -> None:
    source = texts(tmp_path / "t.csv")
    run = audited(tmp_path, source, kind="text")
    gwa.export(run, "csv", tmp_path / "issues.csv")
    found = pd.read_csv(tmp_path / "issues.csv", index_col="sample_id")
    expected = pd.read_csv(source)["text"].map(neutralise)
    assert found["text"].sort_index().tolist() == expected.tolist()
    assert list(found).index("text") < list(found).index("mislabeled")
    source.unlink()
    written = gwa.export(run, "csv", tmp_path / "issues.csv")
    assert "no column text" in written.notes[0]
    assert "text" not in pd.read_csv(tmp_path / "issues.csv")
    assert "text" not in pd.read_parquet(gwa.export(run, "parquet", tmp_path / "issues.parquet").path)


def test_k_takes_the_worst_and_at_most_all(run: Run, tmp_path: Path) -> None:
    scores = gwa.rank(run)
    for k, size in ((3, 3), (10_000, len(scores))):
        gwa.export(run, "csv", tmp_path / "t.csv", k=k)
        assert pd.read_csv(tmp_path / "t.csv")["sample_id"].tolist() == scores.top(k).tolist()
        assert len(scores.top(k)) == size
    with pytest.raises(InputError, match="at least 1"):
        gwa.export(run, "csv", k=0)


def test_wrong_arguments_are_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="label-studio alone"):
        gwa.export(run, "csv", url_prefix="http://x")
    with pytest.raises(InputError, match=r"ends in \.csv"):
        gwa.export(run, "csv", tmp_path / "x.parquet")
    with pytest.raises(InputError, match="'aum' without"):
        gwa.export(run, "csv", scores=gwa.rank(run, "aum"))
    other = run_of(tmp_path, ["a", "b"])
    with pytest.raises(InputError, match="other ids"):
        gwa.export(run, "csv", scores=gwa.rank(other))


def test_a_missing_package_is_named_with_its_extra() -> None:
    with pytest.raises(MissingDependencyError, match=r"gwa-attrib\[hf\]"):
        needed("no_such_package", "hf")


def test_the_verb_prints_where_things_are(tmp_path: Path) -> None:
    run = audited(tmp_path, arrays(tmp_path / "a.npz"))
    words = ["export", str(run.path), "--to", "label-studio", "-k", "4"]
    call = typer.testing.CliRunner().invoke(app, [*words, "--json"])
    printed = json.loads(call.stdout)
    assert printed["samples"] == 4
    assert [Path(p).name for p in (printed["path"], *printed["also"])] == ["label-studio.json", "label-studio.xml"]
    shown = typer.testing.CliRunner().invoke(app, words).stdout.splitlines()
    assert shown == ["4 samples for label-studio", printed["path"], *printed["also"]]
    call = typer.testing.CliRunner().invoke(
        app, ["export", str(run.path), "--to", "csv", "--out", str(tmp_path / "i.csv")]
    )
    assert len((tmp_path / "i.csv").read_text().splitlines()) == 41
    assert call.exit_code == 0
