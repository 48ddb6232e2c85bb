"""Cleaned copies of tables: a .csv keeps its text, a .parquet its types."""

import csv
from pathlib import Path

import numpy as np

from gwa_attrib.cleaning.copies.registry import Copied, Source, copies
from gwa_attrib.datasets.readers.registry import Options
from gwa_attrib.datasets.readers.table_file import find_label
from gwa_attrib.files.frames import columns_with_bounds


@copies.register("csv", source="RFC 4180")
def copy_csv(source: Source, target: Path) -> Copied:
    """The same text in every field but the label of what was relabelled; without the lines of what was dropped."""
    with source.location.open(encoding="utf-8-sig", newline="") as file:
        ending = "\r\n" if file.readline().endswith("\r\n") else "\n"
        file.seek(0)
        names, *lines = [line for line in csv.reader(file) if line]
    if len(lines) < len(source.data):
        raise source.changed(f"{len(lines)} rows instead of {len(source.data)}")
    label = names.index(find_label(names, Options(source.label_column, tuple(source.data.columns)), source.location))
    new = source.rewritten(np.array([line[label] if label < len(line) else None for line in lines], dtype=object))
    rows = source.rows_left(len(lines))
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator=ending)
        writer.writerow(names)
        for row in rows:
            # A line that ends before the label has none, and stays as short as it is.
            lines[row][label : label + 1] = [new[row]] if new[row] is not None else []
            writer.writerow(lines[row])
    return Copied(len(rows))


@copies.register("parquet", source="Apache Parquet; pyarrow")
def copy_parquet(source: Source, target: Path) -> Copied:
    """The same columns and types, and what other programs noted in the file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(source.location)
    if len(table) < len(source.data):
        raise source.changed(f"{len(table)} rows instead of {len(source.data)}")
    options = Options(source.label_column, tuple(source.data.columns))
    label = find_label(table.column_names, options, source.location)
    column = np.empty(len(table), dtype=object)
    column[:] = table[label].to_pylist()
    place, field = table.column_names.index(label), table.schema.field(label)
    new = pa.array(source.rewritten(column).tolist(), type=field.type)
    rows = source.rows_left(len(table))
    written = table.set_column(place, field, new).take(rows)
    pq.write_table(written, target, write_statistics=columns_with_bounds(written.schema))
    return Copied(len(rows))
