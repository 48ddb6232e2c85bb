"""The data of a run: an audit's, read again from where they were; or those that are given, told by their labels."""

import warnings
from collections.abc import Mapping, Sized
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Int

from gwa_attrib.datasets.content import Label, label_reader
from gwa_attrib.datasets.flip import BEFORE_FLIP
from gwa_attrib.datasets.labeled import LabeledData
from gwa_attrib.datasets.loading import load
from gwa_attrib.datasets.messages import shown
from gwa_attrib.errors import DataError, InputError
from gwa_attrib.store.run import Run
from gwa_attrib.store.run_json import AuditNotes


def read_again(run: Run) -> tuple[LabeledData | None, str]:
    """Read the data of an audited run again, with the labels of the run; or give None and the reason why not."""
    data, note = source_as_read(run)
    return (None, note) if data is None else (replace(data, labels=run.labels.astype(np.int64)), "")


def source_as_read(run: Run) -> tuple[LabeledData | None, str]:
    """Read the data again with the labels that the source has: an audit may have flipped some."""
    notes = AuditNotes.read(run.info)
    if not notes.made_by_audit:
        return None, "The run was not made by an audit: pass the data to gwa.report(run, data=...) to see the samples."
    if notes.unsaid or notes.data is None:
        return None, f"run.json does not say how the data were read: {', '.join(notes.unsaid)}."
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the audit has given them already
            data = load(
                notes.data,
                label_column=notes.label_column,
                limit=notes.limit,
                exclude=(notes.truth,) if notes.truth else (),
            )
    except DataError as error:
        return None, f"The data could not be read again: {error}"
    if data.fingerprint() != notes.fingerprint:
        return None, (
            f"{notes.data} is not what was audited: rows, files or values have changed since. "
            "Put it back as it was, or audit it again."
        )
    return data, ""


COMPARED = 256
"""Samples whose labels are compared."""
TOLERATED = 0.01
"""Share of them that may differ; one always may."""
FEW = 20
"""With fewer samples that are no suspects, suspects are compared too."""
TOLERATED_OF_SUSPECTS = 1 / 3
"""Then: nobody corrects so many labels, and of data in another order more differ."""
NOT_CHECKED = (
    "Whether the data are those of the run, in its order, could not be checked: they say no label of a sample that "
    "could be compared with the run's."
)


def check_same_samples(run: Run, data: object, is_suspect: Bool[np.ndarray, " sample"]) -> str:
    """Compare the labels of data with the run's, of some samples drawn at random, as many of each class as there are.

    Suspects are passed over where there are others: their labels may have been corrected since.

    Args:
        run: The run.
        data: As `content_reader` takes it.
        is_suspect: For each sample of the run.

    Returns:
        A sentence where nothing could be compared, else "".

    Raises:
        InputError: the data have fewer samples, or the labels of too many differ.
    """
    largest = int(run.sample_ids.max(initial=-1))
    if isinstance(data, LabeledData | Sized) and largest >= len(data):
        raise InputError(
            expected=f"the data set of the run, with a sample {largest}",
            found=f"one of {len(data)} samples",
            todo="Pass the data that the run was recorded on, in the same order.",
        )
    read = label_reader(data)
    known = _known(run)
    compared, differing = 0, []
    only_suspects = int(((run.labels >= 0) & ~is_suspect).sum()) < FEW
    for row in _drawn(run.labels, np.zeros_like(is_suspect) if only_suspects else is_suspect):
        sample_id = int(run.sample_ids[row])
        try:
            found = read(sample_id)
        except Exception:  # the user's code reads files: a sample that cannot be read says nothing
            continue
        same = _is_same(found, row, run, known)
        compared += same is not None
        if same is False:
            differing.append((sample_id, str(run.class_names[int(run.labels[row])]), found[1] or str(found[0])))
    if len(differing) > max(1, compared * (TOLERATED_OF_SUSPECTS if only_suspects else TOLERATED)):
        sample_id, given, other = differing[0]
        raise InputError(
            expected="the data of the run, in its order: apart from suspects, with the labels that were recorded",
            found=f"another label for {len(differing)} of {compared} samples drawn to compare; the first: sample "
            f"{sample_id}, {shown(given)} in the run and {shown(other)} in the data",
            todo="Pass the data set that the run was recorded on, with its samples in the same order and its labels as "
            "they were then.",
        )
    return "" if compared else NOT_CHECKED


def _drawn(labels: Int[np.ndarray, " sample"], is_suspect: Bool[np.ndarray, " sample"]) -> list[int]:
    """Draw rows, each class as likely: where most samples are of one class, the others tell the orders apart."""
    rows = np.flatnonzero((labels >= 0) & ~is_suspect)
    if len(rows) <= COMPARED:
        return [int(row) for row in rows]
    share = 1.0 / np.bincount(labels[rows])[labels[rows]]
    drawn = np.random.default_rng(0).choice(rows, COMPARED, replace=False, p=share / share.sum())
    return [int(row) for row in np.sort(drawn)]


def _known(run: Run) -> Mapping[int, str]:
    """Look up, by row, the class names before an audit has flipped labels: another label that the data may have."""
    column = run.samples.get(BEFORE_FLIP)
    return {} if column is None else dict(enumerate(column.astype(str)))


def _is_same(found: Label, row: int, run: Run, before: Mapping[int, str]) -> bool | None:
    """Compare the label of the data with the run's; None where the two cannot be compared."""
    number, name = found
    given, names = int(run.labels[row]), run.class_names
    if number is None and (name is None or (name not in names and _are_numbers(names))):
        return None
    return number == given or name in (names[given], before.get(row))


def _are_numbers(names: tuple[str, ...]) -> bool:
    """Tell whether the run was told no names, so that its classes have their numbers."""
    return names == tuple(str(i) for i in range(len(names)))
