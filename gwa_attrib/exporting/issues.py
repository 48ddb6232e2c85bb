"""The ranking as tables that lie beside a run: one for programs, one for people."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from gwa_attrib.files.frames import write_frame
from gwa_attrib.scores import Scores

FIRST = ("key", "given_label", "predicted_label", "is_label_issue", "label_score", "rank", "text")
"""Columns of issues.csv in the order in which a person reads them; what else is known of a sample comes after."""


def write_issues(scores: Scores, folder: Path, texts: Sequence[str] | None = None) -> None:
    """Write ``issues.parquet``, a row for each sample in their order, and ``issues.csv``, the worst first.

    Raises:
        RunError: a file cannot be written.
    """
    write_frame(scores.to_frame(), folder / "issues.parquet")
    write_frame(issue_table(scores, texts), folder / "issues.csv")


def issue_table(scores: Scores, texts: Sequence[str] | None = None, k: int | None = None) -> pd.DataFrame:
    """The ranking for people: the worst first, the key and the labels in the first columns, ranks 1, 2, 3 and so on.

    Args:
        scores: With the columns of ``rank(run, "mislabeled")``.
        texts: Of all samples, in the order of the scores, for a column `text`.
        k: Only the so many most suspicious samples.
    """
    order = scores.order()
    frame = scores.to_frame().reset_index()
    if texts is not None:
        frame["text"] = np.asarray(texts, dtype=object)
    frame = frame.iloc[order].assign(rank=np.arange(1, len(order) + 1))
    if k is not None:
        frame = frame.set_index("sample_id").loc[scores.top(k)].reset_index()
    first = [name for name in FIRST if name in frame]
    return frame[[*first, *(name for name in frame if name not in first)]].set_index("key")
