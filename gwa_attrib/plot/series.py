"""Series that pictures read of a run, of scores, and of both together."""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from gwa_attrib.analyses import rank
from gwa_attrib.analyses.probabilities import SIGNALS
from gwa_attrib.errors import InputError, NotRecordedError
from gwa_attrib.scores import Scores
from gwa_attrib.store import Run, open_run
from gwa_attrib.store.tables import no_epoch, positions, scatter_mean
from gwa_attrib.value_types import Array

ISSUE = "is_label_issue"


def opened(run: Run | str | Path) -> Run:
    """The run, opened if it is a path, with an epoch at least.

    Raises:
        RunFormatError: it has no epoch yet.
    """
    found = run if isinstance(run, Run) else open_run(run)
    if not found.epoch_numbers:
        raise no_epoch(found.path)
    return found


def ranked(run: Run, scores: Scores | None) -> Scores:
    """The scores, which have to be of this run; the default ranking if None.

    Raises:
        InputError: scores of other samples.
        NotRecordedError: the default ranking needs signals that were not recorded.
    """
    missing = [name for name in SIGNALS if name not in run.info["signals"]]
    if scores is None and missing:
        todo = "Record all signals (signals=None), or pass scores= with suspects of your own."
        raise nothing(f"the signals {', '.join(SIGNALS)}, to tell suspects", f"no {', '.join(missing)}", todo)
    found = rank(run, "mislabeled") if scores is None else scores
    if not np.array_equal(found.sample_ids, run.sample_ids):
        raise InputError(
            expected=f"scores of the {len(run.sample_ids)} samples of this run",
            found=f"scores of {len(found)} samples with other ids",
            todo="Rank this very run, or leave scores=None.",
        )
    return found


def column_of(scores: Scores, name: str) -> Array:
    """A column of the scores.

    Raises:
        InputError: they have none of that name.
    """
    if name not in scores.columns:
        raise InputError(
            expected=f"scores with the column {name!r}",
            found=f"{scores.method!r} with {', '.join(scores.columns) or 'none'}",
            todo='Pass rank(run, "mislabeled"), or the run itself.',
        )
    return np.asarray(scores.columns[name])


def suspects_in(run: Run, scores: Scores | None) -> Bool[np.ndarray, " sample"]:
    """Which samples of the run are suspects."""
    return column_of(ranked(run, scores), ISSUE).astype(bool)


def alignment_in(run: Run, epoch: int | None) -> tuple[int, Float[np.ndarray, " sample"]]:
    """The number of the epoch (the last if None), and the alignments in it.

    Raises:
        InputError: there is no such epoch.
    """
    numbers = run.epoch_numbers
    chosen = numbers[-1] if epoch is None else epoch
    if chosen not in numbers:
        raise InputError(
            expected=f"a recorded epoch, {numbers[0]} to {numbers[-1]}",
            found=f"{epoch}",
            todo="Choose one of run.epoch_numbers, or leave epoch=None for the last.",
        )
    rows = run.observations(["sample_id", "alignment"], epoch=chosen)  # of this epoch's files alone
    where = positions(run.sample_ids, rows["sample_id"].to_numpy())
    return chosen, scatter_mean(rows["alignment"].to_numpy(), where, len(run.sample_ids))


def nothing(expected: str, found: str, todo: str) -> NotRecordedError:
    """The error of a picture that the run has nothing for."""
    return NotRecordedError(expected=expected, found=found, todo=todo)
