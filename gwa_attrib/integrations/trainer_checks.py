"""Whether a Hugging Face Trainer is set up so that its samples can be told apart."""

from typing import Any

import numpy as np
from torch import Tensor

from gwa_attrib.errors import InputError


def check_trainer(trainer: Any, column: str) -> None:
    """Raise InputError where ids would not reach the batches, or the model is not the one that trains."""
    args, dataset = trainer.args, trainer.train_dataset
    if args.remove_unused_columns:
        raise InputError(
            expected=f"the column {column!r} to reach the batches",
            found="TrainingArguments(remove_unused_columns=True), which drops it",
            todo="Pass TrainingArguments(remove_unused_columns=False), and leave columns that the model does not take "
            "out of the data set.",
        )
    if dataset is None or not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise InputError(
            expected="a training set with positions",
            found=type(dataset).__name__,
            todo="Pass a data set with a length.",
        )
    if trainer.model_init is not None:
        raise InputError(
            expected="Trainer(model=...)", found="model_init, which makes another model later", todo="Pass the model."
        )
    if args.n_gpu > 1:
        raise InputError(
            expected="a training on one device",
            found=f"{args.n_gpu} devices in one process",
            todo="Set CUDA_VISIBLE_DEVICES to one of them.",
        )
    _check_column(dataset, column)


def _check_column(dataset: Any, column: str) -> None:
    names = getattr(dataset, "column_names", None)
    if names is None:
        return
    if column not in names:
        raise InputError(
            expected=f"a column {column!r} with each sample's position",
            found=f"columns {', '.join(names)}",
            todo="Pass train_dataset=with_sample_ids(dataset).",
        )
    if not np.array_equal(dataset.data.column(column).to_numpy(), np.arange(len(dataset))) or dataset._indices:
        raise InputError(
            expected=f"{column!r} to count the samples from 0",
            found="other numbers, or rows that were selected or shuffled since",
            todo="Call with_sample_ids(dataset) last.",
        )


def check_ids(inputs: Any, column: str) -> Tensor:
    """The ids of a batch.

    Raises:
        InputError: there are none, or no labels.
    """
    if column not in inputs or "labels" not in inputs:
        raise InputError(
            expected=f"batches with {column!r} and 'labels'",
            found=", ".join(map(str, inputs)),
            todo="Pass train_dataset=with_sample_ids(dataset); a data_collator of your own has to keep that column.",
        )
    ids: Tensor = inputs[column]
    return ids
