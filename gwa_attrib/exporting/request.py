"""The request to an export: a run, its scores, its data, which samples, and where to."""

from collections.abc import Iterable, Sized
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gwa_attrib.analyses import rank
from gwa_attrib.datasets.again import check_same_samples, read_again
from gwa_attrib.errors import InputError, NotRecordedError
from gwa_attrib.files.places import local
from gwa_attrib.scores import Scores
from gwa_attrib.store import Run, open_run
from gwa_attrib.store.run_json import AuditNotes

COLUMNS = ("key", "given_label", "predicted_label", "is_label_issue", "label_score")


@dataclass(frozen=True, eq=False)
class Request:
    """Arguments of `gwa_attrib.exporting.export`, checked."""

    run: Run
    to: str
    scores: Scores
    out: Path | None
    k: int | None
    given_data: object
    url_prefix: str | None
    notes: list[str] = field(default_factory=list)
    """Sentences about things that could not be checked, so far."""

    @cached_property
    def data(self) -> object:
        """`LabeledData`, or any data set whose item i is sample i.

        Raises:
            NotRecordedError: none is given, and no audit has read it, or it cannot be read any more.
            InputError: it is not the data of the run, or not in its order.
        """
        found, note = (self.given_data, "") if self.given_data is not None else read_again(self.run)
        if found is None:
            raise NotRecordedError(
                expected=f"the data of the run, which an export to {self.to} shows",
                found="a run that no audit made" if not AuditNotes.read(self.run.info).made_by_audit else note,
                todo=f'Pass it: gwa.export(run, "{self.to}", data=...).',
            )
        largest = int(self.run.sample_ids.max(initial=-1))
        size = len(found) if isinstance(found, Sized) else None
        if size is None or size <= largest:
            raise InputError(
                expected=f"the data set of the run, with a sample {largest}",
                found="one without a length" if size is None else f"one of {size} samples",
                todo="Pass the data that the run was recorded on, in the same order.",
            )
        if self.given_data is not None:
            unsure = check_same_samples(self.run, found, np.asarray(self.scores.columns["is_label_issue"], dtype=bool))
            self.notes.extend([unsure] if unsure else [])
        return found

    def place(self, name: str) -> Path:
        """Choose where to write; below ``exports`` in the run's folder if nothing was said."""
        return local(self.run.path, "the folder to export to") / "exports" / name if self.out is None else self.out

    def every_sample(self) -> pd.DataFrame:
        """``scores.to_frame()``: all samples in their order, or the `k` most suspicious, worst first."""
        frame = self.scores.to_frame()
        return frame if self.k is None else frame.loc[self.scores.top(self.k)]

    def suspects(self) -> pd.DataFrame:
        """The suspects, or the `k` most suspicious samples; worst first.

        Raises:
            InputError: there are none.
        """
        frame = self.scores.to_frame()
        worst = frame.loc[self.scores.top(len(frame) if self.k is None else self.k)]
        chosen = worst[worst["is_label_issue"].astype(bool)] if self.k is None else worst
        if not len(chosen):
            raise InputError(
                expected=f"samples to export to {self.to}",
                found=f"no suspect among {len(frame)} samples",
                todo="Say how many of the most suspicious samples you want to look at all the same: -k 20, or k=20.",
            )
        return chosen


def checked_request(
    run: Run | str | Path,
    to: str,
    out: str | Path | None,
    k: int | None,
    data: object,
    scores: Scores | None,
    url_prefix: str | None,
) -> Request:
    """Check the arguments of `export`, and make a request of them.

    Raises:
        InputError: scores of another run or without the columns, `k` below one, or a prefix for what has no images.
    """
    opened = run if isinstance(run, Run) else open_run(run)
    found = rank(opened, "mislabeled") if scores is None else scores
    check_columns(found)
    if not np.array_equal(found.sample_ids, opened.sample_ids):
        raise InputError(
            expected=f"scores of the {len(opened.sample_ids)} samples of this run",
            found=f"scores of {len(found)} samples with other ids",
            todo="Rank this very run, or leave scores=None.",
        )
    if k is not None and k < 1:
        raise InputError(expected="k to be at least 1", found=str(k), todo="Leave it out, or ask for some samples.")
    if url_prefix is not None and to != "label-studio":
        raise InputError(
            expected="a prefix of addresses for label-studio alone", found=f"an export to {to}", todo="Leave it out."
        )
    return Request(opened, to, found, None if out is None else local(out, "the export"), k, data, url_prefix)


def names_in(column: Iterable[Any]) -> list[str | None]:
    """The class names of a column of scores; None where there is none."""
    return [None if pd.isna(name) else str(name) for name in column]


def check_columns(scores: Scores) -> None:
    """The scores say which label is proposed, and how far each label is to be trusted.

    Raises:
        InputError: they do not.
    """
    missing = [name for name in COLUMNS if name not in scores.columns]
    if missing:
        raise InputError(
            expected=f"scores with the columns {', '.join(COLUMNS)}",
            found=f"{scores.method!r} without {', '.join(missing)}",
            todo='Pass rank(run, "mislabeled"), or leave scores=None.',
        )
