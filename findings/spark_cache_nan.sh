#!/usr/bin/env bash
# Spark 4.3.0 (pyspark, local; needs Java 17 or newer). No file is read.
#
# Spark orders NaN above all numbers: of 1, 2 and NaN the filter x > 5 keeps one row.
# Expected: cache() makes a query faster and leaves its answer.
# Found: the same filter on the cached frame keeps none. The cache skips batches by their smallest and largest value, and
# these leave NaN out.
# Seen on 2026-11-29:   x > 5: 1, cached 0   x = NaN: 1, cached 0   isnan(x): 1, cached 1
# Here: nothing is cached.
set -euo pipefail
command -v java >/dev/null || { echo "Java is needed: apt install default-jre-headless" >&2; exit 2; }
folder="$(mktemp -d)"; trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check pyspark==4.3.0
cd "$folder" && env/bin/python - 2>/dev/null <<'PY'
import math, sys
from pyspark.sql import SparkSession, functions as F

spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
frame = spark.createDataFrame([(1.0,), (2.0,), (math.nan,)], ["x"])
conditions = {"x > 5": F.col("x") > 5, "x = NaN": F.col("x") == math.nan, "isnan(x)": F.isnan("x")}
seen = {name: [frame.filter(condition).count()] for name, condition in conditions.items()}
frame.cache()
for name, condition in conditions.items():
    seen[name].append(frame.filter(condition).count())
    print(f"{name}: {seen[name][0]}, cached {seen[name][1]}")
spark.stop()
sys.exit(seen != {"x > 5": [1, 0], "x = NaN": [1, 0], "isnan(x)": [1, 1]})
PY
