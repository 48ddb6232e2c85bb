#!/usr/bin/env bash
# DataFusion 55.0.0 reading a Parquet file that pyarrow 26.0.1 wrote with its defaults.
#
# Expected: the answers do not depend on whether the rows come from memory or from a file.
# Found: they do where a column holds NaN. max(x), which is answered from the file's statistics alone, is the largest number,
# and from memory NaN; and isnan(x), where the other values of the row group are equal, finds none in the file.
# Seen on 2026-11-29:   max: file 1.0, memory nan   isnan(x): file 0, memory 1   x > 5: file 0, memory 1
# Here: runs are written without minimum and maximum of columns that may hold NaN.
set -euo pipefail
folder="$(mktemp -d)"; trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check datafusion==55.0.0 pyarrow==26.0.1
cd "$folder" && env/bin/python - <<'PY'
import math, sys
import pyarrow as pa, pyarrow.parquet as pq
from datafusion import SessionContext

table = pa.table({"x": [1.0, 1.0, math.nan]})
pq.write_table(table, "x.parquet")
context = SessionContext()
context.register_parquet("file", "x.parquet")
context.register_record_batches("memory", [table.to_batches()])
ask = lambda query: [context.sql(f"select {query.format(source)}").to_pydict()["n"][0] for source in ("file", "memory")]
largest = ask("max(x) as n from {}")
print(f"max: file {largest[0]}, memory {largest[1]}")
seen = {where: tuple(ask(f"count(*) as n from {{}} where {where}")) for where in ("isnan(x)", "x > 5")}
for where, (file, memory) in seen.items():
    print(f"{where}: file {file}, memory {memory}")
as_stated = seen == {"isnan(x)": (0, 1), "x > 5": (0, 1)}
sys.exit(not (as_stated and largest[0] == 1.0 and math.isnan(largest[1])))
PY
