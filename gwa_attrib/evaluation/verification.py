"""The result of training again with decisions: a value that is kept in the run, and read back with care."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from gwa_attrib.display.notebook import small_html
from gwa_attrib.errors import RunFormatError
from gwa_attrib.files.whole import write_text
from gwa_attrib.store import Run
from gwa_attrib.store.schema import VERIFICATION

CHANGE = ("change", "low", "high")
BY_CLASS = ("asked", "before", "after", *CHANGE)
COUNTS = ("asked", "trained_on", "dropped", "relabelled", "seeds")
LATER_COUNTS = ("also_trained_on",)
"""Counts that results of earlier versions do not have."""


@dataclass(frozen=True, eq=False)
class Verification:
    """The result of training again. Accuracies and their changes are shares, 0 to 1; intervals are of 95 %."""

    table: pd.DataFrame
    """One row for each comparison, "decisions - as it is", "decisions - random removal" and "random removal - as it
    is": the mean `change` of the accuracy, `low` and `high`, for other trainings and other samples to ask; paired by
    both. NaN where there is no interval: with one training, see `has_intervals`."""
    accuracy: pd.Series
    """Accuracy of each way to train: "as it is", "decisions", "random removal"."""
    classes: pd.DataFrame
    """One row for each class: samples `asked`, accuracy `before` and `after` the decisions, `change`, `low`, `high`."""
    facts: Mapping[str, Any]
    """`by` ("test", "verified" or "given" labels) and `asked_of`, its name; how many samples were `asked`, and how many
    were `trained_on` and, of these, `dropped` and `relabelled`; `seeds`; and how many of a test set are
    `also_trained_on`, which makes its accuracies too high."""

    @property
    def shows_nothing(self) -> bool:
        """True where every training gave the same answers, so that the intervals have no width and mean nothing."""
        return self.has_intervals and bool((self.table[list(CHANGE)] == 0).all(axis=None))

    @property
    def has_intervals(self) -> bool:
        """True with several trainings of each way; one does not say how much another would differ."""
        return int(self.facts["seeds"]) > 1

    def to_dict(self) -> dict[str, object]:
        """Plain values; NaN as None."""
        return {
            **self.facts,
            "accuracy": self.accuracy.to_dict(),
            "changes": json.loads(self.table.reset_index().to_json(orient="records")),
            "classes": json.loads(self.classes.reset_index().to_json(orient="records")),
        }

    def _repr_html_(self) -> str:
        accuracy = {f"accuracy, {arm}:": value for arm, value in self.accuracy.items()}
        asked = {name: self.facts.get(name) for name in ("by", "asked", "dropped", "relabelled", "seeds")}
        table = self.table.rename_axis(index="comparison")
        return small_html("Trained again: change of the accuracy, 95 % interval", {**asked, **accuracy}, table)

    def keep(self, run: Run) -> None:
        """Write it into the run, for the report.

        Raises:
            RunError: it cannot be written.
        """
        text = json.dumps({"run_id": run.info["run_id"], **self.to_dict()}, ensure_ascii=False)
        write_text(run.path / VERIFICATION, text, within=run.path)


def kept_verification(run: Run) -> Verification | None:
    """Read back what the last `verify` of this run showed; None if there was none.

    Raises:
        RunFormatError: the file is damaged.
    """
    file = run.path / VERIFICATION
    if not file.is_file():
        return None
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        if found["run_id"] != run.info["run_id"]:
            return None  # of a run that was in this folder before
        return _checked(found)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise RunFormatError(
            expected=f"{file} as verify wrote it",
            found=f"{type(error).__name__}: {error}",
            todo="Delete the file, and verify again.",
        ) from error


def _checked(found: dict[str, Any]) -> Verification:
    facts = {name: str(found[name]) for name in ("by", "asked_of")}
    numbers = {name: int(found[name]) for name in COUNTS} | {name: int(found.get(name, 0)) for name in LATER_COUNTS}
    accuracy = {str(arm): _number(value) for arm, value in found["accuracy"].items()}
    return Verification(
        _frame(found["changes"], "comparison", CHANGE),
        pd.Series(accuracy, name="accuracy", dtype=float),
        _frame(found["classes"], "class", BY_CLASS),
        {**facts, **numbers},
    )


def _frame(rows: list[dict[str, Any]], index: str, columns: tuple[str, ...]) -> pd.DataFrame:
    values = {str(row[index]): [_number(row[name]) for name in columns] for row in rows}
    return pd.DataFrame.from_dict(values, orient="index", columns=list(columns)).rename_axis(index=index)


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
