"""The two questions: what explains each query, and which training samples explain themselves alone."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from torch import Tensor, nn

from gwa_attrib._registry import Entry
from gwa_attrib.attribution.data import Forward, Loss
from gwa_attrib.attribution.registry import attributors, options_of
from gwa_attrib.attribution.task import BATCH, Checkpoint, Task
from gwa_attrib.errors import InputError
from gwa_attrib.scores import Scores


def attribute(
    model: nn.Module,
    loss: Loss,
    train: object,
    query: object,
    method: str = "tracin",
    *,
    layers: str | Sequence[str] = "head",
    checkpoints: Sequence[Checkpoint] | None = None,
    batch_size: int = BATCH,
    forward: Forward | None = None,
    seed: int = 0,
    **options: object,
) -> Scores:
    """Score how much training on each sample helped the model with each query.

    Example::

        scores = gwa.attribute(model, F.cross_entropy, train_set, (x_test, y_test), "ekfac")
        scores.values[:, 0].argsort()[:5]    # the training samples that harmed the first query most

    Args:
        model: Trained. It is copied, and the copy put in evaluation mode.
        loss: Of outputs and targets; a mean, a sum or one value per sample.
        train: A data set, a loader (its data set is read in order), or a pair of tensors (inputs, targets).
        query: The same, of what is to be explained; its loss is what is explained.
        method: A registered attributor: `gwa_attrib.attribution.attributors.names()`.
        layers: Which parameters count: "head", "linear" (linear layers and convolutions), "all", or names of modules.
        checkpoints: State dicts or files of them, oldest first; None for the model as it is.
        batch_size: How many samples are worked on at a time; it does not change the result.
        forward: Runs the model on a batch and returns outputs and targets; None for batches (inputs, targets) and dicts
            with "labels".
        seed: Of what is drawn.
        options: Of the method.

    Returns:
        Scores ``[train, query]``, float64. Positive: training on the sample lowered the loss of the query. Negative:
        it raised it; low is harmful.

    Raises:
        UnknownNameError: no attributor of that name.
        InputError: data, options or checkpoints are not what they have to be, or a system could not be solved.
        HeadError, LayerError: the parameters cannot be attributed to.
    """
    fit = _known(method, options)
    task = Task(
        model, loss, train, layers=layers, checkpoints=checkpoints, batch_size=batch_size, forward=forward, seed=seed
    )
    values = fit(task, **options).pairs(query)
    return _scores(values, method, task, options, suspect="low")


def self_influence(
    model: nn.Module,
    loss: Loss,
    train: object,
    method: str = "tracin",
    *,
    layers: str | Sequence[str] = "head",
    checkpoints: Sequence[Checkpoint] | None = None,
    batch_size: int = BATCH,
    forward: Forward | None = None,
    seed: int = 0,
    **options: object,
) -> Scores:
    """Score how much each training sample helped with itself alone: high for samples that had to be learnt by heart.

    For the arguments and errors see `attribute`.

    Returns:
        Scores ``[train]``, float64: the value of each pair (sample, sample). High is suspicious, except for
        "knn_shapley", which gives the mean value for the other training samples: there low is suspicious.
    """
    fit = _known(method, options)
    task = Task(
        model, loss, train, layers=layers, checkpoints=checkpoints, batch_size=batch_size, forward=forward, seed=seed
    )
    values = fit(task, **options).self_influence()
    return _scores(values, method, task, options, suspect=fit.suspect or "high")


def _known(method: str, options: Mapping[str, object]) -> Entry:
    """Return the attributor of that name, which knows these options; before any work is done."""
    entry = attributors[method]
    known = options_of(entry.function)
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise InputError(
            expected=f"options of {entry.name!r}: {', '.join(known) or 'it has none'}",
            found=", ".join(unknown),
            todo="Leave out what it does not know.",
        )
    return entry


def _scores(
    values: Tensor, method: str, task: Task, options: Mapping[str, object], *, suspect: Literal["low", "high"]
) -> Scores:
    meta = {
        "layers": task.layers,
        "parameters": task.per_sample.size,
        "checkpoints": task.number_of_checkpoints,
        **options,
    }
    return Scores(values.numpy(), np.arange(len(values)), method=method, suspect=suspect, meta=meta)
