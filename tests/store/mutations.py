"""A small run with every kind of file, and ways to spoil it: bytes, structure, types, values, names, links."""

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from gwa_attrib.evaluation.verification import Verification
from gwa_attrib.store import Run, open_run
from gwa_attrib.store.kept import keep_duplicates, keep_features
from gwa_attrib.store.schema import LAYER_SCHEMA, PartName
from tests.store import written_runs as runs

SAMPLES = 6
NUMBERS: list[Any] = [-1, 0, 1, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63), 10**30, 1e308, -0.0, 1e400, True]
TEXTS = ["", "../../etc/passwd", "/etc/passwd", "=cmd()", "</script>", "a\0b", "\x1b[31m", "\u202e", "x" * 5000, "nan"]
OTHERS: list[Any] = [None, [], {}, [None], [[]], {"a": {}}, [1, "x", None]]
HOSTILE = [*NUMBERS, *TEXTS, *OTHERS]
Mutation = Callable[[Path, random.Random], str]


def base_run(path: Path) -> Run:
    """Three epochs of six samples, with layers, a probe, features, duplicates, a verification and decisions."""
    writer = runs.begin(path, num_samples=SAMPLES, layers=["all", "stem"])
    source = ["x", "y", "z"] * 2
    writer.write_samples(runs.samples(range(SAMPLES), source=source, weight=np.linspace(0, 1, SAMPLES)))
    for epoch in range(3):
        part = PartName(epoch)
        rows = [runs.row(i, step=epoch * 8 + i) for i in range(SAMPLES)]
        small = [{**r, "p_label": 0.5, "alignment": 0.1 * r["sample_id"]} for r in rows]
        layers = [
            {"sample_id": i, "epoch": epoch, "step": i, "layer": name, "alignment": 0.1, "dot": 0.2, "grad_norm": 2.0}
            for name in ("all", "stem")
            for i in range(SAMPLES)
        ]
        writer.write_layers(part, pa.Table.from_pylist(layers, schema=LAYER_SCHEMA))
        writer.write_probe(part, runs.table(part, small))
        writer.write_observations(part, runs.table(part, small))
        writer.write_epoch(part, runs.summary(part, num_samples=SAMPLES, metrics={"val_accuracy": 0.5}))
    keep_features(path, np.arange(SAMPLES * 3, dtype=np.float32).reshape(SAMPLES, 3))
    keep_duplicates(path, pd.DataFrame({"sample_a": [0], "sample_b": [4], "distance": [0.25]}))
    run = open_run(path)
    change = pd.DataFrame([[0.1, 0.0, 0.2]], columns=["change", "low", "high"], index=["decisions - as it is"])
    classes = pd.DataFrame([[5, 0.5, 0.6, 0.1, 0.0, 0.2]], columns=["asked", "before", "after", *change], index=["a"])
    facts = {"by": "test", "asked_of": "t.csv", "asked": 5, "trained_on": 6, "dropped": 1, "relabelled": 0, "seeds": 2}
    accuracy = pd.Series({"as it is": 0.5, "decisions": 0.6}, name="accuracy")
    named = change.rename_axis(index="comparison"), accuracy, classes.rename_axis(index="class")
    Verification(*named, facts).keep(run)
    (path / "decisions.csv").write_text(
        "sample_id,key,given_label,new_label,decision,label_score,note,run_id\n"
        f"1,#1,b,c,relabel,0.1,,{run.info['run_id']}\n2,#2,c,,drop,0.2,'=note,{run.info['run_id']}\n"
    )
    return run


def flip_bits(file: Path, rng: random.Random) -> str:
    data = bytearray(file.read_bytes())
    places = [rng.randrange(len(data) * 8) for _ in range(rng.choice((1, 1, 2, 8)))] if data else []
    for place in places:
        data[place // 8] ^= 1 << place % 8
    file.write_bytes(data)
    return f"bits {places}"


def truncate(file: Path, rng: random.Random) -> str:
    data = file.read_bytes()
    keep = rng.randrange(len(data) + 1)
    file.write_bytes(data[:keep])
    return f"first {keep} of {len(data)} bytes"


def splice(file: Path, rng: random.Random) -> str:
    """A piece goes, comes twice, or becomes noise."""
    data = file.read_bytes()
    a, b = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    piece = rng.choice((b"", data[a:b] * 2, bytes(b - a), rng.randbytes(b - a), b"\xff" * (b - a)))
    file.write_bytes(data[:a] + piece + data[b:])
    return f"bytes {a} to {b} replaced by {len(piece)}"


def change_table(file: Path, rng: random.Random) -> str:
    """Valid parquet that says something else: columns swapped, renamed, of other types, with other values."""
    table = pq.read_table(file)
    name, other = (rng.choice(table.column_names) for _ in range(2))
    i, how = table.column_names.index(name), rng.randrange(9)
    if how == 0:
        table = table.drop_columns([name])
    elif how == 1:
        table = table.rename_columns([{name: other, other: name}.get(n, n) for n in table.column_names])
    elif how == 2:
        table = table.rename_columns([rng.choice(TEXTS) if n == name else n for n in table.column_names])
    elif how == 3:
        table = table.set_column(i, name, _other_type(table[name], rng))
    elif how == 4:
        table = table.set_column(i, table.schema.field(i).with_nullable(True), _other_values(table[name], rng))
    elif how == 5:
        table = table.append_column(other, table[other])
    elif how == 6:
        table = table.slice(0, rng.randrange(len(table) + 1))
    elif how == 7:
        table = pa.concat_tables([table] * rng.randrange(2, 4))
    else:
        table = table.take([rng.randrange(len(table)) for _ in range(len(table))])
    try:
        pq.write_table(table, file)
    except pa.ArrowException:  # it cannot be written so, and nothing is left
        return "table that is gone"
    return f"table {how} of {name!r}, {other!r}"


def _other_type(column: pa.ChunkedArray, rng: random.Random) -> pa.Array:
    n = len(column)
    made: list[Callable[[], pa.Array]] = [
        lambda: pa.array([rng.choice(TEXTS) for _ in range(n)]),
        lambda: pa.array([rng.random() for _ in range(n)]),
        lambda: pa.array([rng.choice([1, None]) for _ in range(n)], pa.int8()),
        lambda: pa.array([[1, 2, 3]] * n, pa.list_(pa.int32())),
        lambda: pa.array([{"a": 1}] * n),
        lambda: pa.array([b"\xff"] * n),
        lambda: pa.array([True] * n),
        lambda: pa.nulls(n),
        lambda: pa.array([2**62] * n, pa.timestamp("ns")),
    ]
    return rng.choice(made)()


def _other_values(column: pa.ChunkedArray, rng: random.Random) -> pa.Array:
    values = column.to_pylist()
    bad: list[Any] = [None, -1, -2, 3, 2**31 - 1, 2**62, 1e30, float("nan"), float("inf"), -float("inf"), "", "../x"]
    for place in rng.sample(range(len(values)), rng.randrange(len(values)) + 1) if values else []:
        values[place] = rng.choice(bad)
    try:
        return pa.array(values, type=column.type)
    except (pa.ArrowException, TypeError, OverflowError, ValueError):
        return pa.nulls(len(values), column.type)


def change_json(file: Path, rng: random.Random) -> str:
    """One value becomes another, goes, or is nested deeply."""
    found = json.loads(file.read_text())
    places = [(found, key) for key in found]
    for value in list(found.values()):
        places += [(value, key) for key in value] if isinstance(value, dict) else []
        places += [(value, i) for i in range(len(value))] if isinstance(value, list) else []
        for inner in value if isinstance(value, list) else []:
            places += [(inner, key) for key in inner] if isinstance(inner, dict) else []
    where, key = rng.choice(places)
    if rng.random() < 0.2:
        del where[key]
    else:
        where[key] = rng.choice(HOSTILE)
    text = json.dumps(found)
    if rng.random() < 0.05:
        text = text.replace("{", '{"deep": ' + "[" * 100_000 + "]" * 100_000 + ", ", 1)
    file.write_text(text)
    return f"json {key!r}"


def change_npy(file: Path, rng: random.Random) -> str:
    shapes = ["(6, 3)", "(10000000000000, 3)", "(-1, 3)", "(6,)", "()", "(6, 0)", "(3, 6)", "(2, 3, 3)", "'x'"]
    kinds = ["<f2", "<f8", "<i8", "|O", "<U3", "|V2", "|b1", ">f2", "x", "[('a', '<f2')]"]
    header = f"{{'descr': {rng.choice(kinds)!r}, 'fortran_order': {rng.choice(['False', 'True', '0'])}, 'shape': "
    header += rng.choice(shapes) + rng.choice([", }", "}", "", ", 'x': 1}"])
    body = rng.choice([np.arange(18, dtype="<f2").tobytes(), b"", bytes([0, 0x7C] * 18), rng.randbytes(200)])
    raw = header.encode().ljust(117) + b"\n"
    file.write_bytes(
        b"\x93NUMPY" + bytes([rng.choice([1, 1, 2, 3, 9]), 0]) + len(raw).to_bytes(2, "little") + raw + body
    )
    return f"npy {header}"


def change_csv(file: Path, rng: random.Random) -> str:
    rows = [line.split(",") for line in file.read_text().splitlines()]
    row = rng.randrange(len(rows))
    column = rng.randrange(len(rows[row]))
    cells = [*map(str, NUMBERS), *TEXTS, '"', "keep", "drop", "relabel", "a", "1.5", "inf", "1,2", "\n"]
    rows[row][column] = rng.choice(cells)
    rng.choice([lambda: None, lambda: rows.append(rows[row]), lambda: rows[row].pop(), rows.pop])()
    file.write_text("\n".join(",".join(cells) for cells in rows))
    return f"csv {row}, {column}"


def change_file(file: Path, rng: random.Random) -> str:
    """Not the content but the file: a folder, a link, a pipe, another file of the run, another name."""
    how = rng.randrange(7)
    others = [p for p in sorted(file.parent.glob("*")) if p != file and p.is_file()]
    if how == 0:
        file.unlink()
        file.mkdir()
    elif how == 1:
        file.unlink()
        os.mkfifo(file)
    elif how == 2:
        file.unlink()
        file.symlink_to(file)
    elif how == 3:
        outside = file.parents[2] / "outside"
        shutil.copy(file, outside)
        file.unlink()
        file.symlink_to(rng.choice([outside, Path("/dev/zero"), Path("/etc/passwd"), Path("../../..")]))
    elif how == 4 and others:
        shutil.copy(rng.choice(others), file)
    elif how == 5:
        names = ["epoch=00007-rank=00000-a0.parquet", "epoch=999999999-rank=00000-a0.parquet"]
        names += ["epochs=00000-99998-a1.parquet", "epochs=00000-00002-a0.parquet", "epoch=00001-rank=00001-a3.parquet"]
        file.rename(file.with_name(rng.choice(names)))
    else:
        file.unlink()
    return f"file {how}"


OF_KIND: dict[str, list[Mutation]] = {
    ".parquet": [change_table, change_table, change_table],
    ".json": [change_json, change_json, change_json],
    ".npy": [change_npy, change_npy],
    ".csv": [change_csv, change_csv],
}


def spoil(path: Path, rng: random.Random) -> tuple[Path, str]:
    """Spoil one file of the run; which one, and how."""
    file = rng.choice(sorted(p for p in path.rglob("*") if p.is_file()))
    mutation = rng.choice([flip_bits, truncate, splice, change_file, *OF_KIND[file.suffix]])
    return file.relative_to(path), f"{mutation.__name__}: {mutation(file, rng)}"
