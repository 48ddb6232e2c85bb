"""Decisions: what to do with some samples of a run. Made by a person in the report, or taken from a ranking."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int

from gwa_attrib.analyses import rank
from gwa_attrib.analyses.learnt import learnt_classes
from gwa_attrib.errors import InputError
from gwa_attrib.files.frames import write_frame
from gwa_attrib.scores import Scores
from gwa_attrib.store import Run
from gwa_attrib.thresholds import EVEN

Auto = Literal["drop", "relabel"]
ACTIONS = ("keep", "relabel", "drop")
COLUMNS = ("sample_id", "key", "given_label", "new_label", "decision", "label_score", "note", "run_id")
"""Columns of decisions.csv. `new_label` is the label that the sample gets, empty for drop; `run_id` names the run."""


@dataclass(frozen=True, eq=False)
class Decisions:
    """One entry per decided sample, in the order of their ids; samples that are not named stay as they are."""

    run_id: str
    sample_ids: Int[np.ndarray, " decided"]
    actions: tuple[str, ...]
    """"keep", "relabel" or "drop" each."""
    labels: Int[np.ndarray, " decided"]
    """int64, the class that each sample has from now on; -1 for one that is dropped."""
    class_names: tuple[str, ...]
    facts: pd.DataFrame = field(default_factory=pd.DataFrame)
    """`key`, `given_label`, `label_score` and `note` of each, for people."""
    left_alone: Mapping[str, int] = field(default_factory=dict)
    """Number of a ranking's own decisions that were not made, by the class that the training has not learnt."""

    def __len__(self) -> int:
        return len(self.sample_ids)

    @property
    def counts(self) -> dict[str, int]:
        """How many samples are kept, relabelled and dropped."""
        found = Counter(self.actions)
        return {action: found[action] for action in ACTIONS}

    def to_frame(self) -> pd.DataFrame:
        """The columns of decisions.csv."""
        names = np.array([*self.class_names, ""], dtype=object)
        frame = self.facts.assign(
            sample_id=self.sample_ids, new_label=names[self.labels], decision=list(self.actions), run_id=self.run_id
        )
        return frame[list(COLUMNS)]

    def write(self, path: str | Path) -> Path:
        """Write a .csv (or .parquet) that `read_decisions` reads, and that a spreadsheet opens safely.

        Raises:
            InputError: another kind of file.
            RunError: it cannot be written.
        """
        write_frame(self.to_frame().set_index("sample_id"), Path(path))
        return Path(path)


def decide(
    run: Run, auto: Auto, scores: Scores | None = None, *, below: float | None = EVEN, unlearnt: bool = False
) -> Decisions:
    """The decisions of a ranking itself: samples with a low `label_score` are dropped, or get the proposed label.

    Args:
        run: A recorded run.
        auto: "drop" or "relabel".
        scores: With the columns of ``rank(run, "mislabeled")``, which is the default.
        below: Decide on the samples whose `label_score` is below this; None: on all that the ranking calls an issue.
            Where more gained more, and where less did, is in `docs/cleaning.md`.
        unlearnt: Decide also where the given or the proposed label is a class that the training has not learnt, see
            `gwa_attrib.analyses.learnt`. By default these samples are left alone, and counted in `left_alone`.

    Raises:
        InputError: another word, a threshold that is no probability, or scores of another run or without the columns.
    """
    if auto not in ("drop", "relabel"):
        raise InputError(expected="auto to be drop or relabel", found=repr(auto), todo="Choose one of them.")
    found = rank(run, "mislabeled") if scores is None else scores
    missing = {"is_label_issue", "predicted_label"} - set(found.columns)
    if missing or not np.array_equal(found.sample_ids, run.sample_ids):
        raise InputError(
            expected="scores of this run with the columns is_label_issue and predicted_label",
            found=f"{found.method!r} of {len(found)} samples without {', '.join(sorted(missing)) or 'its ids'}",
            todo='Pass rank(run, "mislabeled"), or leave scores out.',
        )
    rows = np.flatnonzero(_decided(found, below))
    rows, left_alone = (rows, {}) if unlearnt else _of_learnt_classes(run, found, rows)
    number = {name: i for i, name in enumerate(run.class_names)}
    proposed = [number[name] for name in np.asarray(found.columns["predicted_label"])[rows]]
    labels = np.full(len(rows), -1) if auto == "drop" else np.array(proposed, dtype=np.int64)
    if auto == "relabel":  # a sample may be suspicious without a better label
        other = labels != run.labels[rows]
        rows, labels = rows[other], labels[other]
    score = np.asarray(found.columns.get("label_score", found.values))[rows]
    return replace(decisions_of(run, rows, (auto,) * len(rows), labels, score), left_alone=left_alone)


def _of_learnt_classes(
    run: Run, scores: Scores, rows: Int[np.ndarray, " low"]
) -> tuple[Int[np.ndarray, " decided"], dict[str, int]]:
    """The rows about which the training can say something, and how many others there are by class."""
    classes = learnt_classes(run, np.asarray(scores.columns["is_label_issue"], dtype=bool))
    names = np.array([*run.class_names, ""], dtype=object)
    given, proposed = names[run.labels[rows]], np.asarray(scores.columns["predicted_label"], dtype=object)[rows]
    left, counts = np.ones(len(rows), dtype=bool), {}
    for name in classes.index[~classes["learnt"]]:
        concerned = left & ((given == name) | (proposed == name))
        left &= ~concerned
        if concerned.any():
            counts[str(name)] = int(concerned.sum())
    return rows[left], counts


def _decided(scores: Scores, below: float | None) -> Bool[np.ndarray, " sample"]:
    if below is None:
        return np.asarray(scores.columns["is_label_issue"])
    if not 0.0 < below <= 1.0 or "label_score" not in scores.columns:
        raise InputError(
            expected="below to be a label_score above 0, up to 1, and scores that have that column",
            found=f"{below!r} and the columns {', '.join(scores.columns)}",
            todo="Pass below=None to take what the ranking calls an issue.",
        )
    return np.asarray(np.asarray(scores.columns["label_score"]) < below)


def decisions_of(
    run: Run,
    rows: Int[np.ndarray, " decided"],
    actions: tuple[str, ...],
    labels: Int[np.ndarray, " decided"],
    label_score: object = "",
    note: object = "",
) -> Decisions:
    """Make the decisions about the samples in these rows of ``run.samples``."""
    samples = run.samples.iloc[rows]
    names = np.array([*run.class_names, ""], dtype=object)
    facts = pd.DataFrame(
        {
            "key": samples["key"].to_numpy(),
            "given_label": names[samples["label"]],
            "label_score": label_score,
            "note": note,
        }
    )
    ids = samples["sample_id"].to_numpy(dtype=np.int64)
    return Decisions(run.info["run_id"], ids, actions, labels.astype(np.int64), run.class_names, facts)
