"""decisions.csv: read as people and their spreadsheets give it back, and refused where it is about something else."""

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from gwa_attrib.cleaning.decisions import ACTIONS, COLUMNS, Decisions, decisions_of
from gwa_attrib.cleaning.label_studio import read_label_studio
from gwa_attrib.datasets.messages import listed, shown
from gwa_attrib.errors import InputError
from gwa_attrib.files.frames import neutralise
from gwa_attrib.store import Run

NEEDED = ("sample_id", "given_label", "new_label", "decision")
SEPARATORS = ",;\t"
"""Spreadsheets of some countries save with semicolons."""


def read_decisions(path: str | Path, run: Run) -> Decisions:
    """The decisions in a file, for the run that they were made on.

    Rows without a decision count as undecided. A relabel to the given label is a keep. The apostrophe that keeps a
    spreadsheet from running a cell as a formula is taken off again.

    Args:
        path: A .csv with the columns of `COLUMNS` (key, label_score, note and run_id may be missing), or a .parquet;
            or a .json that Label Studio has exported, see `read_label_studio`.
        run: The run.

    Raises:
        InputError: no such table, decisions of another run, a sample or a class that the run does not have, a sample
            that is decided twice, or no decision at all; nothing was changed.
    """
    if Path(path).suffix.lower() == ".json":
        return read_label_studio(Path(path), run)
    frame = _decided(_frame(Path(path)), path)
    _check_run(frame, run, path)
    rows = _rows(frame["sample_id"], run, path)
    _check_same_samples(frame, rows, run, path)
    actions = [action.strip().lower() for action in frame["decision"]]
    given = run.labels[rows].astype(np.int64)
    number = {text: i for i, name in enumerate(run.class_names) for text in (str(neutralise(name)), name)}
    facts = zip(actions, frame["new_label"], given, frame["sample_id"], strict=True)
    labels = np.array([_label(*fact, number, path) for fact in facts])
    actions = [
        "keep" if a == "relabel" and new == old else a for a, new, old in zip(actions, labels, given, strict=True)
    ]
    order = np.argsort(rows)
    text = frame.iloc[order]
    return decisions_of(
        run,
        rows[order],
        tuple(actions[i] for i in order),
        labels[order],
        pd.to_numeric(_column(text, "label_score"), errors="coerce").to_numpy(),
        _column(text, "note").to_numpy(),
    )


def _frame(path: Path) -> pd.DataFrame:
    """All cells as text, with empty texts where there is nothing."""
    try:
        if path.suffix == ".parquet":
            frame = pd.read_parquet(path).reset_index()
            return frame.astype(object).where(frame.notna(), "").astype(str)
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
        separator = max(SEPARATORS, key=first.count)
        return pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(
            expected="a decisions.csv that the report has saved", found=f"no file {path}", todo="Check the path."
        ) from error
    except (OSError, ValueError, csv.Error, pd.errors.ParserError) as error:
        raise InputError(
            expected=f"decisions in {path}, a .csv as the report saves it",
            found=f"{type(error).__name__}: {error}",
            todo="Check the path, and save the table as CSV in UTF-8.",
        ) from error


def _decided(frame: pd.DataFrame, path: str | Path) -> pd.DataFrame:
    missing = [name for name in NEEDED if name not in frame]
    if missing:
        raise InputError(
            expected=f"the columns {', '.join(COLUMNS)} in {path}",
            found=f"{listed(frame.columns)}, without {', '.join(missing)}",
            todo="Download decisions.csv from the report again.",
        )
    decided = frame[frame["decision"].str.strip() != ""].reset_index(drop=True)
    wrong = sorted(set(decided["decision"].str.strip().str.lower()) - set(ACTIONS))
    if wrong or not len(decided):
        raise InputError(
            expected=f"decisions out of {', '.join(ACTIONS)} in {path}",
            found=listed(wrong) if wrong else "none",
            todo="Leave the decision empty where there is none; decide on at least one sample.",
        )
    return decided


def _check_run(frame: pd.DataFrame, run: Run, path: str | Path) -> None:
    others = sorted({name for name in _column(frame, "run_id") if name not in ("", run.info["run_id"])})
    if others:
        raise InputError(
            expected=f"decisions of run {run.info['run_id']} ({run.path})",
            found=f"decisions of run {listed(others)} in {path}",
            todo="Apply them to that run. If it had the same data and labels, empty the column run_id.",
        )


def _rows(ids: pd.Series, run: Run, path: str | Path) -> np.ndarray:
    numbers = pd.to_numeric(ids, errors="coerce")
    known = pd.Index(run.sample_ids)
    possible = numbers.where(numbers.abs() < 2**63)  # "inf" and "1e30" are numbers, too
    rows = known.get_indexer(possible.fillna(-1).astype(np.int64))
    foreign = ids[(rows < 0) | (numbers % 1 != 0)]
    if len(foreign):
        raise InputError(
            expected=f"sample ids of {run.path}, which has {len(known)} samples",
            found=f"{listed(foreign, most=5)} in {path}",
            todo="Apply decisions to the run whose report they were made in.",
        )
    twice = ids[pd.Series(rows).duplicated()]
    if len(twice):
        raise InputError(
            expected=f"one decision per sample in {path}",
            found=f"several for sample {listed(twice, most=5)}",
            todo="Keep one row for each sample.",
        )
    return np.asarray(rows, dtype=np.int64)


def _check_same_samples(frame: pd.DataFrame, rows: np.ndarray, run: Run, path: str | Path) -> None:
    """Keys and given labels are those of the run."""
    names = [*run.class_names, ""]
    facts: Mapping[str, list[str]] = {"given_label": [names[label] for label in run.labels[rows]]}
    if "key" in frame:
        facts = {"key": run.samples["key"].iloc[rows].astype(str).tolist(), **facts}
    for column, expected in facts.items():
        for sample_id, cell, own in zip(frame["sample_id"], frame[column], expected, strict=True):
            if not _same(cell, own):
                raise InputError(
                    expected=f"decisions of the run {run.path}, whose sample {sample_id} has {column} {shown(own)}",
                    found=f"{shown(cell)} in {path}",
                    todo="Apply decisions to the run whose report they were made in.",
                )


def _label(action: str, cell: str, given: int, sample_id: str, number: Mapping[str, int], path: str | Path) -> int:
    if action == "drop":
        return -1
    found = next((i for name, i in number.items() if _same(cell, name)), None)
    if action == "keep" and (cell.strip() == "" or found == given):
        return int(given)
    if action == "keep":
        raise InputError(
            expected="the given label, or nothing, as new_label of a sample whose decision is keep",
            found=f"{shown(cell)} for sample {sample_id} in {path}",
            todo="Write relabel as its decision, or empty its new_label.",
        )
    if found is None:
        raise InputError(
            expected=f"a class of the run as new_label: {listed(number)}",
            found=f"{shown(cell)} for sample {sample_id} in {path}",
            todo="Name one of these classes, or drop the sample.",
        )
    return found


def _same(cell: str, own: str) -> bool:
    """Compare a cell with what it was: as written, made safe for a spreadsheet, or as a number written anew."""
    if cell in (own, neutralise(own)):
        return True
    try:
        return float(cell) == float(own)
    except ValueError:
        return False


def _column(frame: pd.DataFrame, name: str) -> pd.Series:
    return frame[name] if name in frame else pd.Series([""] * len(frame), dtype=object)
