#!/usr/bin/env bash
# DuckDB 1.5.6 reading a Parquet file that pyarrow 26.0.1 wrote with its defaults.
#
# DuckDB orders NaN above all numbers: in a table with 1, 2 and NaN, `x > 5` finds one row, and max(x) is NaN.
# Expected: the same of the Parquet file with these rows.
# Found: none, and 2.0. The file's statistics leave NaN out, as the format asks, and DuckDB trusts them: a row group whose
# maximum is 2 is skipped. isnan(x) and count(*) are right.
# Seen on 2026-11-29:   x > 5: file 0, table 1   x = 'nan': file 0, table 1   NOT (x < 5): file 0, table 1   max: file 2.0, table nan
# Here: runs are written without minimum and maximum of columns that may hold NaN.
set -euo pipefail
folder="$(mktemp -d)"; trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check duckdb==1.5.6 pyarrow==26.0.1
cd "$folder" && env/bin/python - <<'PY'
import math, sys
import duckdb, pyarrow as pa, pyarrow.parquet as pq

pq.write_table(pa.table({"x": [1.0, 2.0, math.nan]}), "x.parquet")
duckdb.sql("create table x as select * from 'x.parquet'")
seen = {}
for where in ("x > 5", "x = 'nan'", "NOT (x < 5)", "isnan(x)"):
    seen[where] = tuple(duckdb.sql(f"select count(*) from {source} where {where}").fetchone()[0] for source in ("'x.parquet'", "x"))
    print(f"{where}: file {seen[where][0]}, table {seen[where][1]}")
largest = [duckdb.sql(f"select max(x) from {source}").fetchone()[0] for source in ("'x.parquet'", "x")]
print(f"max: file {largest[0]}, table {largest[1]}")
as_stated = seen == {"x > 5": (0, 1), "x = 'nan'": (0, 1), "NOT (x < 5)": (0, 1), "isnan(x)": (1, 1)}
sys.exit(not (as_stated and largest[0] == 2.0 and math.isnan(largest[1])))
PY
