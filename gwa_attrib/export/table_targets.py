"""The ranking as a table: one row a sample."""

from gwa_attrib.errors import InputError
from gwa_attrib.export.registry import Exported, exports
from gwa_attrib.export.request import Request
from gwa_attrib.export.tables import write_frame


@exports.register("csv", source="RFC 4180")
def to_csv(request: Request) -> Exported:
    """A table for people and spreadsheets, which is safe to open: texts that would be run as formulas are quoted."""
    return _table(request, ".csv")


@exports.register("parquet", source="Apache Parquet")
def to_parquet(request: Request) -> Exported:
    """A table for pandas, polars, DuckDB and the like, with its types."""
    return _table(request, ".parquet")


def _table(request: Request, suffix: str) -> Exported:
    path = request.place(f"issues{suffix}")
    if path.suffix != suffix:
        raise InputError(
            expected=f"a file name that ends in {suffix}", found=str(path), todo="Name one, or choose another target."
        )
    frame = request.every_sample()
    write_frame(frame, path)
    return Exported(request.to, path, len(frame))
