"""A data set after decisions: which samples are left, with which labels; of any form that the data has."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch.utils.data import Dataset

from gwa_attrib.cleaning.copies import Copied
from gwa_attrib.cleaning.decisions import Decisions
from gwa_attrib.datasets.messages import listed, shown
from gwa_attrib.errors import InputError
from gwa_attrib.store import Run

if TYPE_CHECKING:
    import datasets


@dataclass(frozen=True, eq=False)
class Cleaned:
    """The samples that are left. Entry i of every array is the same sample; their order is that of the ids."""

    sample_ids: Int[np.ndarray, " kept"]
    labels: Int[np.ndarray, " kept"]
    """int64, after the decisions."""
    given: Int[np.ndarray, " kept"]
    """int64, as the run had them."""
    class_names: tuple[str, ...]
    samples: int
    """How many there were."""
    path: Path | None = None
    """The cleaned copy, if one was written."""
    copied: Copied | None = None
    """How much is in it."""

    def __len__(self) -> int:
        return len(self.sample_ids)

    def __repr__(self) -> str:
        counted = ", ".join(f"{number:,} {name}" for name, number in self.counts.items())
        return f"Cleaned({counted}{'' if self.path is None else f', path={str(self.path)!r}'})"

    @property
    def counts(self) -> dict[str, int]:
        """How many samples were dropped and relabelled, and how many are left; of a copy also how many rows or files of
        an image folder were `written`, and how many files are `damaged`: not to be read, and not copied."""
        relabelled = int((self.labels != self.given).sum())
        counts = {"dropped": self.samples - len(self), "relabelled": relabelled, "left": len(self)}
        return counts if self.copied is None else {**counts, **self.copied._asdict()}

    def to_torch(self, dataset: Dataset[Any]) -> "CleanedDataset":
        """A view of the data set that the run was trained on, whose item i is sample i: ``(x, y, ...)``, or a dict with
        the label as ``labels`` or ``label``, as the Hugging Face Trainer takes it.

        Raises:
            InputError: fewer items than the run has samples, items of another form, or (when an item is read) another
                label than the run's.
        """
        return CleanedDataset(dataset, self)

    def to_huggingface(self, dataset: "datasets.Dataset", label_column: str | None = None) -> "datasets.Dataset":
        """A ``datasets.Dataset`` with the samples that are left, and their labels in `label_column`.

        Args:
            dataset: The one that the run was trained on: row i is sample i.
            label_column: Class numbers or class names, as they are there; None: the one called "label" or "labels".

        Raises:
            InputError: no such column, fewer rows than samples, or labels that are not the run's.
        """
        return _cleaned_huggingface(self, dataset, label_column)


class CleanedDataset(Dataset[Any]):
    """Items of another data set, without those that were dropped and with the labels that were given anew."""

    def __init__(self, dataset: Dataset[Any], cleaned: Cleaned) -> None:
        size, needed = len(dataset), int(cleaned.sample_ids.max()) + 1  # type: ignore[arg-type]
        if size < needed:
            raise InputError(
                expected=f"the data set of the run, whose item i is sample i: at least {needed} items",
                found=f"{size}",
                todo="Pass the data set that the run was recorded on.",
            )
        self._dataset, self._cleaned = dataset, cleaned
        # What is of another form is refused here, and not an hour later in a worker of a loader.
        _place_of_label(dataset[int(cleaned.sample_ids[0])])

    def __len__(self) -> int:
        return len(self._cleaned)

    def __getitem__(self, index: int) -> Any:
        cleaned = self._cleaned
        sample_id = int(cleaned.sample_ids[index])
        item = self._dataset[sample_id]
        place = _place_of_label(item)
        given, new = int(cleaned.given[index]), int(cleaned.labels[index])
        if given < 0:
            return item  # never seen in the run
        # Also catches a data set that was shuffled or is off by one: nothing else says which sample an item is.
        if int(item[place]) != given:
            raise InputError(
                expected=f"sample {sample_id} to have the label of the run, {given}",
                found=f"{int(item[place])}",
                todo="Pass the data set that the run was recorded on, as it was then.",
            )
        label = torch.as_tensor(new, dtype=item[place].dtype) if isinstance(item[place], torch.Tensor) else new
        return {**item, place: label} if isinstance(item, Mapping) else (item[0], label, *item[2:])

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))


LABELS = ("labels", "label")
"""Names of the label in an item or a table of Hugging Face, the one that its Trainer wants first."""


def _place_of_label(item: object) -> int | str:
    """Find where an item holds its label: 1 in ``(x, y, ...)``, a name in a dict."""
    if isinstance(item, tuple | list) and len(item) >= 2:
        return 1
    named = [name for name in LABELS if isinstance(item, Mapping) and name in item]
    if named:
        return named[0]
    found = f"a dict with {listed(item)}" if isinstance(item, Mapping) else type(item).__name__
    raise InputError(
        expected=f"items of the data set to be (x, y, ...), or dicts with {' or '.join(LABELS)}",
        found=found,
        todo="Take `sample_ids` and `labels` of the cleaned data set, and build it from them.",
    )


def labels_after(
    cleaned: Cleaned, sample_ids: Int[np.ndarray, " sample"], labels: Int[np.ndarray, " sample"]
) -> tuple[Int[np.ndarray, " sample"], Bool[np.ndarray, " sample"]]:
    """Spread what is left over all samples: the label of each from now on (int64), and which are left.

    Args:
        cleaned: What is left.
        sample_ids: Of all samples, ascending.
        labels: Those of the samples of which the decisions say nothing: dropped ones, and ones never seen in the run.
    """
    rows, seen = np.searchsorted(sample_ids, cleaned.sample_ids), cleaned.given >= 0
    left = np.zeros(len(sample_ids), dtype=bool)
    left[rows] = True
    new = labels.astype(np.int64)
    new[rows[seen]] = cleaned.labels[seen]
    return new, left


def clean(run: Run, decisions: Decisions) -> Cleaned:
    """Apply decisions to the samples of the run.

    Raises:
        InputError: decisions of another run, or none of the samples would be left.
    """
    if decisions.run_id != run.info["run_id"]:
        raise InputError(
            expected=f"decisions of run {run.info['run_id']} ({run.path})",
            found=f"decisions of run {decisions.run_id}",
            todo="Apply them to the run that they were made on.",
        )
    labels = run.labels.astype(np.int64)
    given = labels.copy()
    rows = np.searchsorted(run.sample_ids, decisions.sample_ids)
    labels[rows] = decisions.labels
    left = np.ones(len(labels), dtype=bool)
    left[rows[decisions.labels < 0]] = False
    if not left.any():
        raise InputError(expected="some samples to be left", found="all of them dropped", todo="Drop fewer samples.")
    return Cleaned(run.sample_ids[left], labels[left], given[left], run.class_names, len(left))


def _cleaned_huggingface(cleaned: Cleaned, dataset: "datasets.Dataset", named: str | None) -> "datasets.Dataset":
    """Select the rows that are left, with their labels; see `Cleaned.to_huggingface`."""
    label_column = next((name for name in LABELS if name in dataset.column_names), "label") if named is None else named
    if label_column not in dataset.column_names:
        raise InputError(
            expected=f"a column {shown(label_column)} with labels",
            found=f"columns {listed(dataset.column_names)}",
            todo="Name it: to_huggingface(dataset, label_column=...).",
        )
    if len(dataset) != cleaned.samples:
        raise InputError(
            expected=f"the data set of the run, with {cleaned.samples} rows",
            found=f"{len(dataset)}",
            todo="Pass the data set that the run was recorded on.",
        )
    left = dataset.select(cleaned.sample_ids)
    labels = left[label_column][:]
    written = _as_written(labels, cleaned, label_column)
    for row in np.flatnonzero(cleaned.labels != cleaned.given):
        labels[row] = written[cleaned.labels[row]]
    feature = left.features[label_column]
    return left.remove_columns(label_column).add_column(label_column, labels, feature=feature)


def _as_written(labels: list[int | str], cleaned: Cleaned, label_column: str) -> list[int] | list[str]:
    """Find how each class is written in the column: by its number, its name, or a number that is its name."""
    names = cleaned.class_names
    forms: list[list[int] | list[str]] = [list(range(len(names))), list(names)]
    if all(name.isdecimal() for name in names):
        forms.append([int(name) for name in names])
    seen = np.flatnonzero(cleaned.given >= 0)
    for form in forms:
        if all(labels[row] == form[cleaned.given[row]] for row in seen):
            return form
    row = next(row for row in seen if labels[row] not in (form[cleaned.given[row]] for form in forms))
    raise InputError(
        expected=f"the labels of the run in {shown(label_column)}, {shown(names[cleaned.given[row]])} in row "
        f"{cleaned.sample_ids[row]}",
        found=shown(labels[row]),
        todo="Pass the data set that the run was recorded on, as it was then.",
    )
