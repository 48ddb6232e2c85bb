"""The suspects: the samples that a score flags, worst first; last, those about which the training can say nothing."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from gwa_attrib.analyses.learnt import learnt_classes
from gwa_attrib.errors import InputError
from gwa_attrib.scores import Scores
from gwa_attrib.store import Run
from gwa_attrib.value_types import Array

COLUMNS = ("key", "given_label", "predicted_label", "is_label_issue", "label_score")


@dataclass(frozen=True, eq=False)
class Suspects:
    """One entry per suspect, the lowest label score first; those of classes that were not learnt after all others."""

    rows: Int[np.ndarray, " suspect"]
    """Rows of the run's samples."""
    sample_ids: Int[np.ndarray, " suspect"]
    keys: tuple[str, ...]
    given: tuple[str, ...]
    proposed: tuple[str, ...]
    label_score: Float[np.ndarray, " suspect"]
    """In [0, 1]; lower is more suspicious."""
    estimate: Mapping[str, int] | None
    """`count`, `low` and `high` of the number of wrong labels; None if the score does not estimate it."""
    method: str
    doubtful: Bool[np.ndarray, " suspect"]
    """True where the training has not learnt the given or the proposed class: these come last."""

    def __len__(self) -> int:
        return len(self.rows)

    def mask(self, samples: int) -> Bool[np.ndarray, " sample"]:
        """True in the rows of the suspects."""
        flags = np.zeros(samples, dtype=bool)
        flags[self.rows] = True
        return flags

    def pairs(self) -> Counter[tuple[str, str]]:
        """How many suspects have each (given, proposed) pair of labels."""
        return Counter(zip(self.given, self.proposed, strict=True))


def judged_suspects(run: Run, scores: Scores) -> tuple[Suspects, pd.DataFrame]:
    """The flagged samples of `scores`, and which classes the training has learnt, see `learnt_classes`.

    Raises:
        InputError: as `suspects_of`.
    """
    classes = learnt_classes(run, suspects_of(run, scores).mask(len(run.sample_ids)))
    return suspects_of(run, scores, [str(name) for name in classes.index[~classes["learnt"]]]), classes


def suspects_of(run: Run, scores: Scores, not_learnt: Collection[str] = ()) -> Suspects:
    """The flagged samples of `scores`.

    Args:
        run: A run.
        scores: With the columns of ``rank(run, "mislabeled")``.
        not_learnt: Names of the classes that the training has not learnt.

    Raises:
        InputError: scores of another run, or without the columns of ``rank(run, "mislabeled")``.
    """
    missing = [name for name in COLUMNS if name not in scores.columns]
    if missing:
        raise InputError(
            expected=f"scores with the columns {', '.join(COLUMNS)}",
            found=f"{scores.method!r} without {', '.join(missing)}",
            todo='Pass rank(run, "mislabeled"), or leave scores=None.',
        )
    if not np.array_equal(scores.sample_ids, run.sample_ids):
        raise InputError(
            expected=f"scores of the {len(run.sample_ids)} samples of this run",
            found=f"scores of {len(scores)} samples with other ids",
            todo="Rank this very run, or leave scores=None.",
        )
    columns = {name: np.asarray(scores.columns[name]) for name in COLUMNS}
    flagged = np.flatnonzero(columns["is_label_issue"])
    names = list(not_learnt)
    doubtful = np.isin(columns["given_label"][flagged].astype(str), names)
    doubtful |= np.isin(columns["predicted_label"][flagged].astype(str), names)
    order = np.lexsort((columns["label_score"][flagged], doubtful))
    rows = flagged[order]
    return Suspects(
        rows=rows,
        sample_ids=scores.sample_ids[rows],
        keys=_texts(columns["key"][rows]),
        given=_texts(columns["given_label"][rows]),
        proposed=_texts(columns["predicted_label"][rows]),
        label_score=columns["label_score"][rows].astype(np.float64),
        estimate=scores.meta.get("estimated_errors"),
        method=scores.method,
        doubtful=doubtful[order],
    )


def _texts(column: Array) -> tuple[str, ...]:
    return tuple(str(value) for value in column)
