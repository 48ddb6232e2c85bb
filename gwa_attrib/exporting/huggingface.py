"""Scores as columns of a Hugging Face data set."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from jaxtyping import Int

from gwa_attrib.analyses import rank
from gwa_attrib.datasets import LabeledData
from gwa_attrib.datasets.messages import listed, shown
from gwa_attrib.errors import InputError
from gwa_attrib.exporting.contents import contents_of
from gwa_attrib.exporting.registry import Exported, exports, needed
from gwa_attrib.exporting.request import Request, check_columns, names_in
from gwa_attrib.files.whole import whole_folder
from gwa_attrib.scores import Scores
from gwa_attrib.store import Run, open_run
from gwa_attrib.value_types import Array

if TYPE_CHECKING:
    import datasets

Keep = Literal["all", "suspects", "rest"]
COLUMNS = ("sample_id", "label_score", "is_label_issue", "predicted_label", "rank")
EXTRA = "hf"


def with_scores(
    dataset: "datasets.Dataset",
    scores: Scores | Run | str | Path,
    *,
    label_column: str = "label",
    keep: Keep = "all",
    k: int | None = None,
) -> "datasets.Dataset":
    """The ``datasets.Dataset`` that a run was trained on, with columns added: `COLUMNS`.

    Args:
        dataset: Row i is sample i.
        scores: With the columns of ``rank(run, "mislabeled")``; or a run, or its folder.
        label_column: Class numbers (a ``ClassLabel`` too) or class names. `predicted_label` is written as it is, with
            its feature; null for samples that were never seen.
        keep: "all" in their order; "suspects", worst first; or the "rest" without them, in their order.
        k: Take the k most suspicious samples for the suspects.

    Raises:
        MissingDependencyError: datasets is not installed.
        InputError: no such column or no ``Dataset``, other labels or another number of rows than the run's, names of
            columns that are taken, or no row left.
    """
    found = open_run(scores) if isinstance(scores, str | Path) else scores
    found = rank(found, "mislabeled") if isinstance(found, Run) else found
    check_columns(found)
    _check_dataset(dataset, found, label_column)
    given, predicted = (names_in(found.columns[name]) for name in ("given_label", "predicted_label"))
    names = sorted({name for name in (*given, *predicted) if name is not None})
    feature = dataset.features[label_column]
    written = _written(dataset[label_column][:], given, names, feature, label_column)
    columns: dict[str, Array] = {
        "sample_id": found.sample_ids,
        "label_score": np.asarray(found.columns["label_score"]),
        "is_label_issue": np.asarray(found.columns["is_label_issue"], dtype=bool),
        "rank": found.ranks(),
    }
    for name, values in columns.items():
        dataset = dataset.add_column(name, values)
    proposed = [None if name is None else written[name] for name in predicted]
    dataset = dataset.add_column("predicted_label", proposed, feature=feature)
    return dataset if keep == "all" and k is None else dataset.select(_rows(found, keep, k))


def _check_dataset(dataset: "datasets.Dataset", scores: Scores, label_column: str) -> None:
    datasets = needed("datasets", EXTRA)
    if isinstance(dataset, datasets.IterableDataset | datasets.IterableDatasetDict):
        raise InputError(
            expected="a datasets.Dataset, whose rows can be counted",
            found="an IterableDataset, which streams",
            todo="Load it without streaming=True, or make one of it: Dataset.from_list(list(stream)).",
        )
    if not isinstance(dataset, datasets.Dataset):
        raise InputError(
            expected="a datasets.Dataset", found=f"a {type(dataset).__name__}", todo='Pass one split: data["train"].'
        )
    if label_column not in dataset.column_names:
        raise InputError(
            expected=f"a column {shown(label_column)} with labels",
            found=f"columns {listed(dataset.column_names)}",
            todo="Name it: label_column=...",
        )
    if len(dataset) != len(scores) or not np.array_equal(scores.sample_ids, np.arange(len(scores))):
        raise InputError(
            expected=f"the data set of the run, with {len(scores)} rows, row i being sample i",
            found=f"{len(dataset)} rows",
            todo="Pass the data set that the run was recorded on.",
        )
    taken = sorted(set(COLUMNS) & set(dataset.column_names))
    if taken:
        raise InputError(
            expected=f"a data set without the columns {', '.join(COLUMNS)}",
            found=listed(taken),
            todo=f"Remove or rename them first: dataset.remove_columns({taken}).",
        )


def _rows(scores: Scores, keep: Keep, k: int | None) -> Int[np.ndarray, " row"]:
    if keep not in ("all", "suspects", "rest"):
        raise InputError(expected="keep to be all, suspects or rest", found=repr(keep), todo="Choose one of them.")
    order = scores.order()
    order = order[~np.isnan(scores.values[order])]
    flags = np.asarray(scores.columns["is_label_issue"], dtype=bool)
    worst = order[flags[order]] if k is None else order[:k]
    rows = worst if keep != "rest" else np.setdiff1d(np.arange(len(scores)), worst)
    if not len(rows):
        raise InputError(
            expected="rows to keep",
            found="no suspect" if keep != "rest" else "nothing but suspects",
            todo="Keep all rows, or say how many of the most suspicious ones you want: k=20.",
        )
    return rows


def _written(
    labels: list[int | str], given: list[str | None], names: Sequence[str], feature: object, label_column: str
) -> dict[str, int | str]:
    """Find how the column writes each class; a class that no sample carries, as its feature says or as its name.

    Raises:
        InputError: the column does not say what the run was trained on.
    """
    written: dict[str, int | str] = {}
    for row, (label, name) in enumerate(zip(labels, given, strict=True)):
        if name is not None and written.setdefault(name, label) != label:
            raise _other_labels(label_column, f"{shown(label)} in row {row} for class {shown(name)}, which is "
                                f"{shown(written[name])} elsewhere")  # fmt: skip
    if len(set(written.values())) < len(written):
        raise _other_labels(label_column, "one value for several classes of the run")
    numbers = getattr(feature, "names", None)
    for name in names:
        if name not in written and numbers is not None and name in numbers:
            written[name] = numbers.index(name)
        elif name not in written and all(isinstance(label, str) for label in labels):
            written[name] = name
        elif name not in written and name.isdecimal():
            written[name] = int(name)
    missing = [name for name in names if name not in written]
    if missing:
        raise _other_labels(label_column, f"no value for the class {shown(missing[0])}, which is proposed")
    return written


def _other_labels(label_column: str, found: str) -> InputError:
    return InputError(
        expected=f"the labels of the run in {shown(label_column)}",
        found=found,
        todo="Pass the data set that the run was recorded on, as it was then.",
    )


@exports.register("huggingface", source="datasets 3")
def to_huggingface(request: Request) -> Exported:
    """A folder for datasets.load_from_disk: the samples with their scores; images of a folder stay where they are."""
    datasets = needed("datasets", EXTRA)
    path = request.place("huggingface")
    with _without_bars(datasets):
        data = _dataset(request, request.data) if isinstance(request.data, LabeledData) else request.data
        rows = with_scores(data, request.scores, keep="all" if request.k is None else "suspects", k=request.k)
        with whole_folder(path) as half:
            rows.save_to_disk(str(half))
    return Exported(request.to, path, len(rows))


def _dataset(request: Request, data: LabeledData) -> "datasets.Dataset":
    """Make a data set with columns image, text or those of the table; label and key."""
    import datasets

    ids = request.run.sample_ids.tolist()
    contents = contents_of(data, ids)
    label = datasets.ClassLabel(names=list(request.run.class_names))
    labels = [int(number) for number in request.run.labels]
    known: dict[str, list[int] | list[str]] = {"label": labels, "key": [str(key) for key in request.run.samples["key"]]}
    if isinstance(data.inputs, pd.DataFrame):
        taken = {*known, *COLUMNS}
        inputs = data.inputs.rename(columns=lambda name: f"input_{name}" if name in taken else str(name))
        columns = {str(name): _plain_column(inputs[name]) for name in inputs}
        return datasets.Dataset.from_dict({**columns, **known}).cast_column("label", label)
    if contents.kind == "text":
        return datasets.Dataset.from_dict({"text": [contents.read(i) for i in ids], **known}).cast_column(
            "label", label
        )
    images: list[str | dict[str, bytes | None]] = [
        str(contents.files[i]) if contents.files else {"bytes": contents.png(i), "path": None} for i in ids
    ]
    features = datasets.Features({"image": datasets.Image(), "label": label, "key": datasets.Value("string")})
    return datasets.Dataset.from_dict({"image": images, **known}, features=features)


def _plain_column(column: pd.Series) -> list[object]:
    return [None if pd.isna(value) else value for value in column.tolist()]


@contextmanager
def _without_bars(datasets: ModuleType) -> Iterator[None]:
    """Hide the progress bars of datasets, which show where there is no terminal, too."""
    shown_before = datasets.utils.logging.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown_before:
            datasets.enable_progress_bars()
