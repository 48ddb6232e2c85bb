"""A run is plain parquet: the same question in DuckDB's SQL, in Polars or DuckDB through narwhals, and in pandas.

Prints three times the same table: the five samples with the lowest mean margin (AUM).
"""

import argparse
import tempfile

import duckdb
import narwhals as nw

import gwa_attrib as gwa


def main(epochs: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        gwa.audit("digits", f"{folder}/run", flip=0.1, epochs=epochs, budget="fast", limit=500)
        run = gwa.open_run(f"{folder}/run")

        print(
            duckdb.sql(
                f"SELECT sample_id, avg(margin) AS aum FROM '{folder}/run/observations/*.parquet' "
                "GROUP BY sample_id ORDER BY aum LIMIT 5"
            ).df()
        )

        query = run.scan("duckdb").group_by("sample_id").agg(aum=nw.col("margin").mean()).sort("aum").head(5)
        print(query.collect("pandas").to_native())

        print(gwa.rank(run, "aum").to_frame().sort_values("rank")[["aum"]].head(5).reset_index())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fast", action="store_true", help="two epochs")
    main(epochs=2 if parser.parse_args().fast else 8)
