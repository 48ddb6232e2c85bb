"""Tables in a .parquet."""

from pathlib import Path

import pandas as pd

from gwa_attrib.datasets.labeled import LabeledData
from gwa_attrib.datasets.messages import printable
from gwa_attrib.datasets.readers.registry import Options, existing_file, readers
from gwa_attrib.datasets.readers.table_file import from_frame
from gwa_attrib.errors import DataError


@readers.register("parquet", source="Apache Parquet; pyarrow")
def read_parquet(location: str, options: Options) -> LabeledData:
    """A .parquet with columns of text, numbers or both.

    What pandas noted in it (its index) is not restored: a saved index is a column.

    Raises:
        DataError: no parquet file, or a damaged one; see `from_frame`.
    """
    return from_frame(_frame(existing_file(location), options.limit), location, options)


def _frame(path: Path, limit: int | None) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            table = file.read().slice(0, limit).replace_schema_metadata(None)
        table.validate(full=True)  # texts that are not UTF-8 are only noticed here
        frame: pd.DataFrame = table.to_pandas(date_as_object=False)
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        raise DataError(
            expected=f"{path} to be a readable parquet file",
            found=printable(f"{type(error).__name__}: {error}"),
            todo="Save it again, with pandas.DataFrame.to_parquet or the like.",
        ) from error
    return frame
