"""Class probabilities that the model gave each sample in each epoch, of a run on disk or of a training in memory."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gwa_attrib.store.run import Run
from gwa_attrib.store.writer import ROW_GROUP
from gwa_attrib.value_types import Array

Columns = dict[str, Array]


@dataclass(frozen=True, eq=False)
class Trajectories:
    """Columns of every epoch, as `Run.by_epoch` gives them."""

    labels: Int[np.ndarray, " sample"]
    """Given labels, numbers of classes."""
    class_names: Sequence[object]
    epochs: Sequence[Columns]
    """`p_label`, `alignment` ``[sample]``; `top_class`, `top_prob` ``[sample, top]``."""

    @property
    def epoch_numbers(self) -> tuple[int, ...]:
        """Numbers of the epochs, ascending."""
        return tuple(range(len(self.epochs)))

    def by_epoch(self, *names: str, rows: slice = slice(None)) -> Iterator[tuple[int, Columns]]:
        """Epoch after epoch, those columns of those samples; nothing is copied."""
        for number, columns in enumerate(self.epochs):
            yield number, {name: columns[name][rows] for name in names}


Recorded = Run | Trajectories
"""Either: what finds wrong labels reads both alike."""


SIGNALS = ("p_label", "top_class", "top_prob")
FLOOR, FLOOR_OF_ALL = 1e-3, 1e-2
"""Added to a probability before its logarithm, and to those of all classes together at most: an epoch that was sure and
wrong shall not outvote all others."""
TINY = 1e-6
"""Least probability of a label, and of all others together."""
Rows = slice | Int[np.ndarray, " sample"]
BLOCK = 1 << 27
"""Probabilities held at a time; larger runs are read in several passes."""
PART = 1 << 20
"""Probabilities worked on at a time: few enough for the processor's cache."""


class View(NamedTuple):
    """The probabilities that are stored of one epoch, of some samples."""

    p_label: Float[Tensor, " sample"]
    """NaN where the sample was not seen."""
    top_class: Int[Tensor, "sample top"]
    """The likeliest classes, best first; -1 where the sample was not seen."""
    top_prob: Float[Tensor, "sample top"]


def view_of(dense: dict[str, Array], rows: Rows) -> View:
    """Take some samples out of the columns of an epoch."""
    p_label, top_class, top_prob = (_tensor(dense[name][rows]) for name in SIGNALS)
    return View(p_label, top_class.long(), top_prob.float())


def blocks(run: Recorded, held: int | None = None) -> Iterator[slice]:
    """The samples of a run, in parts of which at most so many class probabilities are held at a time; large parts are
    whole row groups of the files, if all samples are seen in each epoch."""
    size = max(1, (held or BLOCK) // len(run.class_names))
    # A part that ends within a row group would have the group read twice.
    size -= size % ROW_GROUP if size > ROW_GROUP else 0
    yield from (slice(start, start + size) for start in range(0, max(len(run.labels), 1), size))


def labels_of(run: Recorded, rows: Rows) -> Int[Tensor, " sample"]:
    """Given labels; 0 for samples never seen, which have no probabilities."""
    return torch.from_numpy(run.labels[rows].astype(np.int64)).clamp_min(0)


def views(run: Recorded, rows: Rows) -> Iterator[View]:
    """Epoch after epoch, of the samples in those rows."""
    if isinstance(rows, slice):
        for _, dense in run.by_epoch(*SIGNALS, rows=rows):
            yield view_of(dense, slice(None))
    else:
        for _, dense in run.by_epoch(*SIGNALS):
            yield view_of(dense, rows)


class Sums(NamedTuple):
    """Sums over the epochs, each by its weight."""

    ahead: Float[Tensor, "sample class"]
    """How far the logarithm of each class's probability is ahead of that of a class which is never listed."""
    roots: Float[Tensor, " sample"]
    """Square roots of the probability of the label."""
    seen: Float[Tensor, " sample"]
    """The weights of the epochs in which the sample was seen."""

    def part(self, rows: slice) -> "Sums":
        return Sums(*(of[rows] for of in self))


def summed(views: Iterable[View], weights: Iterable[float], labels: Int[Tensor, " sample"], classes: int) -> Sums:
    """Probabilities are known of the label and of the likeliest classes; what is left of 1 is spread over the other
    classes."""
    ahead, roots, seen = torch.zeros(len(labels), classes), torch.zeros(len(labels)), torch.zeros(len(labels))
    floor = min(FLOOR, FLOOR_OF_ALL / classes)
    for weight, view in zip(weights, views, strict=True):
        if weight:
            known = _known(view, labels, classes)
            more = (known.values + floor).log() - (known.rest + floor).log().unsqueeze(1)
            ahead.scatter_add_(1, known.columns, torch.where(known.present.unsqueeze(1), weight * more, 0.0))
            roots += weight * view.p_label.nan_to_num(0.0).sqrt()
            seen += weight * known.present
    return Sums(ahead, roots, seen)


def pooled(sums: Sums) -> Float[Tensor, "sample class"]:
    """Class probabilities averaged by their logarithms: the geometric mean, normalised (a logarithmic opinion pool).

    A row of NaN for a sample never seen.
    """
    return (sums.ahead / torch.where(sums.seen > 0, sums.seen, torch.nan).unsqueeze(1)).softmax(dim=1)


def believed(sums: Sums, labels: Int[Tensor, " sample"]) -> Float[Tensor, "sample class"]:
    """Pool the probabilities, but of the label itself take the squared mean of the roots.

    The normalised geometric mean lets a single epoch that is sure of another class count for much, and with two classes
    that is all there is to see; the mean of the roots lies between it and the plain one.
    """
    index = labels.unsqueeze(1)
    own = (sums.roots / sums.seen).square().clamp(TINY, 1.0 - TINY).unsqueeze(1)
    others = pooled(sums).scatter_(1, index, 0.0)
    return others.mul_((1.0 - own) / others.sum(dim=1, keepdim=True).clamp_min(TINY)).scatter_(1, index, own)


def mean_probabilities(
    views: Iterable[View], labels: Int[Tensor, " sample"], classes: int
) -> Float[Tensor, "sample class"]:
    """Average the probabilities plainly over the epochs in which the sample was seen."""
    total, rest, seen = torch.zeros(len(labels), classes), torch.zeros(len(labels)), torch.zeros(len(labels))
    for view in views:
        known = _known(view, labels, classes)
        more = known.values - known.rest.unsqueeze(1)
        total.scatter_add_(1, known.columns, torch.where(known.present.unsqueeze(1), more, 0.0))
        rest += torch.where(known.present, known.rest, 0.0)
        seen += known.present
    return (total + rest.unsqueeze(1)) / torch.where(seen > 0, seen, torch.nan).unsqueeze(1)


class Known(NamedTuple):
    """Probabilities of the few classes that are stored, and what is left for each of the others."""

    present: Bool[Tensor, " sample"]
    columns: Int[Tensor, "sample known"]
    """The likeliest classes, then the label."""
    values: Float[Tensor, "sample known"]
    """The label has what is left for others if it is among the likeliest, so that it counts once."""
    rest: Float[Tensor, " sample"]


def _known(view: View, labels: Tensor, classes: int) -> Known:
    index, listed = labels.unsqueeze(1), view.top_class.clamp_min(0)
    p_label, own = view.p_label.nan_to_num(0.0), listed == index
    among = own.any(dim=1)
    sum_of_known = view.top_prob.sum(dim=1) + torch.where(among, 0.0, p_label)
    others = classes - listed.shape[1] - (~among).long()
    rest = (1.0 - sum_of_known).clamp_min(0.0) / others.clamp_min(1)
    likeliest = torch.where(own, p_label.unsqueeze(1), view.top_prob)
    values = torch.cat([likeliest, torch.where(among, rest, p_label).unsqueeze(1)], dim=1)
    return Known(~view.p_label.isnan(), torch.cat([listed, index], dim=1), values, rest)


def _tensor(array: Array) -> Tensor:
    """Make a tensor without a copy where torch allows it: not of memory that may not be written to."""
    return torch.from_numpy(np.require(array, requirements=["C", "W"]))
