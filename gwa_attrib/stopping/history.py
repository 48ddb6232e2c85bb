"""The registry of proxies: functions from the history of a training to one number per epoch."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from gwa_attrib._registry import Registry
from gwa_attrib.errors import NotRecordedError
from gwa_attrib.store.run import Run
from gwa_attrib.store.tables import no_epoch

proxies = Registry("proxy")
"""`suspect` says which end is bad: "low" for a measure that should be large."""


@dataclass(frozen=True, eq=False)
class History:
    """The epochs of a training so far."""

    table: pd.DataFrame
    """One row an epoch, as `Run.epochs()` gives it."""
    run: Run
    """For proxies that look at single samples."""

    @property
    def epochs(self) -> tuple[int, ...]:
        """Numbers of the epochs."""
        return tuple(int(epoch) for epoch in self.table["epoch"])

    def column(self, name: str, todo: str) -> Float[np.ndarray, " epoch"]:
        """A recorded number of each epoch, NaN where there is none.

        Raises:
            NotRecordedError: it was recorded in no epoch; `todo` says how it is.
        """
        if name not in self.table or self.table[name].isna().all():
            raise NotRecordedError(expected=f"a run with {name!r} in its epochs", found="none", todo=todo)
        return pd.to_numeric(self.table[name], errors="coerce").to_numpy(dtype=np.float64)

    def head(self, count: int) -> "History":
        """Take the first epochs alone."""
        return History(self.table.iloc[:count], self.run)


def history_of(run: Run) -> History:
    """Take the history of a run.

    Raises:
        RunFormatError: the run has no epoch yet.
    """
    table = run.epochs()
    if not len(table):
        raise no_epoch(run.path)
    return History(table, run)


def measure(run: Run, by: str = "gwa") -> pd.Series:
    """A proxy of generalisation in each epoch of a run, as a series over the epochs; NaN where it is not defined.

    Example:
        ``measure(run, "mean_alignment").idxmax()``

    Raises:
        UnknownNameError: no proxy of that name; the error lists them.
        NotRecordedError: the run lacks what the proxy needs; the error says how it is recorded.
        RunFormatError: the run has no epoch yet.
    """
    history = history_of(run)
    return pd.Series(proxies[by](history), index=pd.Index(history.epochs, name="epoch"), name=by)
