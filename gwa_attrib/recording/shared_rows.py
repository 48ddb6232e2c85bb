"""The observations of an epoch, of all processes that train together."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from jaxtyping import Bool

from gwa_attrib.store.run_files import joined

OBSERVED = ("sample_id", "step", "label", "pred", "p_label")
"""What every process knows of the others' observations."""
LOOKED_AT = ("sample_id", "step", "label", "pred")
"""What every process knows of the others' probes."""


def told(table: pa.Table, columns: Sequence[str]) -> pa.Table:
    """What a process tells the others of a table."""
    return table.select(list(columns))


def in_order(tables: Sequence[pa.Table]) -> pa.Table:
    """The rows of all processes in the order in which they were made; of one step by rank."""
    rows = joined(tables)
    return rows if len(tables) == 1 else rows.take(np.argsort(rows["step"].to_numpy(), kind="stable"))


def own_rows(tables: Sequence[pa.Table], rank: int) -> Bool[np.ndarray, " row"]:
    """Of each row of the table of `rank`, whether no process of lower rank has that sample."""
    lower = [table["sample_id"].to_numpy() for table in tables[:rank]]
    known = np.concatenate([np.empty(0, dtype=np.int64), *lower])
    return ~np.isin(tables[rank]["sample_id"].to_numpy(), known)


def own_samples(tables: Sequence[pa.Table], rank: int) -> int:
    """How many samples the process of `rank` counts: those that none of lower rank has."""
    return len(np.unique(tables[rank]["sample_id"].to_numpy()[own_rows(tables, rank)]))
