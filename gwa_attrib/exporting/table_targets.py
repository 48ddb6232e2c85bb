"""The ranking as a table: one row a sample."""

from pathlib import Path

from gwa_attrib.errors import InputError, NotRecordedError
from gwa_attrib.exporting.contents import contents_of
from gwa_attrib.exporting.issues import issue_table
from gwa_attrib.exporting.registry import Exported, exports
from gwa_attrib.exporting.request import Request
from gwa_attrib.files.frames import write_frame
from gwa_attrib.store.run_json import AuditNotes


@exports.register("csv", source="RFC 4180")
def to_csv(request: Request) -> Exported:
    """A table for people and spreadsheets, the worst first, with the texts of text data. It is safe to open: texts that
    would be run as formulas are quoted."""
    path = _place(request, ".csv")
    table = issue_table(request.scores, _texts(request), request.k)
    write_frame(table, path)
    return Exported(request.to, path, len(table))


@exports.register("parquet", source="Apache Parquet")
def to_parquet(request: Request) -> Exported:
    """A table for pandas, polars, DuckDB and the like, with its types: the samples in their order."""
    path = _place(request, ".parquet")
    frame = request.every_sample()
    write_frame(frame, path)
    return Exported(request.to, path, len(frame))


def _texts(request: Request) -> list[str] | None:
    """Read the texts of text data, where they can be read; why not is noted."""
    if request.given_data is None and AuditNotes.read(request.run.info).kind != "text":
        return None
    ids = request.run.sample_ids.tolist()
    try:
        contents = contents_of(request.data, ids)
        return [contents.read(i) for i in ids] if contents.kind == "text" else None
    except NotRecordedError as error:
        request.notes.append(f"There is no column text: {error}")
        return None


def _place(request: Request, suffix: str) -> Path:
    path = request.place(f"issues{suffix}")
    if path.suffix != suffix:
        raise InputError(
            expected=f"a file name that ends in {suffix}", found=str(path), todo="Name one, or choose another target."
        )
    return path
