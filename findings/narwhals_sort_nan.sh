#!/usr/bin/env bash
# narwhals 2.29.0 over pandas 3.1.1, pyarrow 26.0.1, polars 2.1.0 and DuckDB 1.5.6.
#
# Expected: a query that is written once has one answer, or is refused by a backend.
# Found: where NaN stands in an ascending sort depends on the backend, and so do the mean and the count. `sort("x").head(1)`,
# the smallest value, is NaN with pandas and pyarrow, and 1.0 with polars and DuckDB.
# Seen on 2026-11-29:   pandas nan, mean 1.5, count 2   pyarrow nan, mean nan, count 3   polars 1.0, mean nan, count 3
#                       duckdb 1.0, mean nan, count 3
# Here: the queries of this project sort by whole numbers.
set -euo pipefail
folder="$(mktemp -d)"; trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check narwhals==2.29.0 pandas==3.1.1 pyarrow==26.0.1 polars==2.1.0 duckdb==1.5.6
cd "$folder" && env/bin/python - <<'PY'
import math, sys
import duckdb, narwhals as nw, pandas as pd, polars as pl, pyarrow as pa

table = pa.table({"x": [1.0, math.nan, 2.0]})
frames = {"pandas": pd.DataFrame({"x": [1.0, math.nan, 2.0]}), "pyarrow": table, "polars": pl.from_arrow(table), "duckdb": duckdb.from_arrow(table)}

def asked(frame, query):
    found = query(nw.from_native(frame))
    return (found.collect() if isinstance(found, nw.LazyFrame) else found).to_arrow().column(0)[0].as_py()

seen = {}
for name, frame in frames.items():
    smallest = asked(frame, lambda f: f.sort("x").head(1))
    mean = asked(frame, lambda f: f.select(nw.col("x").mean()))
    seen[name] = f"{smallest}, mean {mean}, count {asked(frame, lambda f: f.select(nw.col('x').count()))}".replace("None", "nan")
    print(name, seen[name])
sys.exit(seen != {"pandas": "nan, mean 1.5, count 2", "pyarrow": "nan, mean nan, count 3", "polars": "1.0, mean nan, count 3", "duckdb": "1.0, mean nan, count 3"})
PY
