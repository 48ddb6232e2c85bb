"""All that the sections of a report are made from, read from the run once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from gwa_attrib.analyses import rank
from gwa_attrib.datasets.content import Content, Reader, content_reader
from gwa_attrib.datasets.labeled import LabeledData
from gwa_attrib.reporting.signal_summaries import Signals, read_signals
from gwa_attrib.reporting.suspects.evidence import order_of_columns
from gwa_attrib.reporting.suspects.judged import Suspects, judged_suspects
from gwa_attrib.reporting.suspects.previews import Preview, preview_of
from gwa_attrib.scores import Scores
from gwa_attrib.store import Run
from gwa_attrib.store.summaries import COLUMNS

GALLERY = 60
"""Suspects whose cards are in the page from the start, with larger pictures; the others are made when asked for."""
LISTED = 10_000
"""Suspects that can be decided on; of more the page would be too large to send."""


@dataclass(frozen=True, eq=False)
class Context:
    """The facts that every section is made from."""

    run: Run
    scores: Scores
    """Scores that the suspects are taken from."""
    suspects: Suspects
    signals: Signals
    classes: pd.DataFrame
    """Which classes the training has learnt, see `learnt_classes`."""
    read: Reader
    """A function that reads a sample, by its id."""
    data: object
    """The data that the run was trained on; None if they are not known."""
    truth: Mapping[str, float] | None
    notes: tuple[str, ...]

    @property
    def listed(self) -> int:
        """How many suspects can be decided on."""
        return min(len(self.suspects), LISTED)

    @cached_property
    def previews(self) -> tuple[Preview, ...]:
        """The first `GALLERY` suspects."""
        return tuple(self._preview(i) for i in range(min(len(self.suspects), GALLERY)))

    def _preview(self, i: int) -> Preview:
        orders = self.column_orders
        return preview_of(self.content(i), None if orders is None else orders[i])

    def preview(self, sample_id: int) -> Preview:
        """Preview a sample, suspect or not."""
        return preview_of(self.read(sample_id))

    def content(self, i: int) -> Content:
        """Read the suspect number `i`."""
        return self.read(int(self.suspects.sample_ids[i]))

    @cached_property
    def column_orders(self) -> list[list[str]] | None:
        """For each suspect in the page, the columns of its row, those first that speak most against its label; None
        where the samples are no rows of a table that was audited."""
        data = self.data
        if not isinstance(data, LabeledData) or not isinstance(data.inputs, pd.DataFrame):
            return None
        number = {name: i for i, name in enumerate(self.run.class_names)}
        proposed = np.array([number.get(name, 0) for name in self.suspects.proposed[: self.listed]], dtype=np.int64)
        ids = self.suspects.sample_ids[: self.listed]
        labels = np.full(len(data), -1)
        labels[self.run.sample_ids] = self.run.labels
        return order_of_columns(data.inputs, labels, len(number), ids, proposed)

    @property
    def usual(self) -> Float[np.ndarray, " epoch"]:
        """Mean alignment of all samples per epoch, which sparklines have as their measure."""
        return self.column("mean")

    @cached_property
    def reach(self) -> float:
        """The scale of all sparklines: the largest alignment in any of them."""
        return max(float(np.nanmax(np.abs(self.signals.trajectories), initial=1e-6)), _largest(self.usual))

    @cached_property
    def not_learnt(self) -> tuple[str, ...]:
        """Classes that the training has not learnt."""
        return tuple(str(name) for name in self.classes.index[~self.classes["learnt"]])

    @cached_property
    def epochs(self) -> pd.DataFrame:
        """The epoch summaries and metrics, indexed by epoch; one row for each epoch that has observations."""
        return self.run.epochs().set_index("epoch").reindex(list(self.signals.epochs))

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics that the user passed to `end_epoch`."""
        return tuple(name for name in self.epochs.columns if name not in COLUMNS)

    def column(self, name: str) -> Float[np.ndarray, " epoch"]:
        """A number per epoch; NaN where there is none."""
        return pd.to_numeric(self.epochs[name], errors="coerce").to_numpy(dtype=np.float64)

    @cached_property
    def reliable(self) -> Bool[np.ndarray, " epoch"]:
        """Epochs in which GWA can be relied on."""
        return np.array([value is True or value == 1 for value in self.epochs["gwa_reliable"]])

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """The classes of the run, and any other name that the suspects have; positions in it are class numbers."""
        return tuple(dict.fromkeys([*self.run.class_names, *self.suspects.given, *self.suspects.proposed]))

    @cached_property
    def mislabeled(self) -> Scores:
        """The default ranking, which is made once."""
        return self.scores if self.scores.method == "mislabeled" else rank(self.run, "mislabeled")

    @property
    def class_sizes(self) -> Int[np.ndarray, " class"]:
        """Number of samples with each given label."""
        labels = self.run.labels
        return np.bincount(labels[labels >= 0], minlength=len(self.run.class_names))


def _largest(values: Float[np.ndarray, " epoch"]) -> float:
    return float(np.abs(np.nan_to_num(values)).max(initial=0.0))


def read_context(
    run: Run,
    data: object,
    scores: Scores | None,
    truth: Mapping[str, float] | None,
    notes: Sequence[str],
    tokenizer: object = None,
) -> Context:
    """Read the run, once for the scores and once for the figures."""
    if not run.epoch_numbers:
        run.observations(["sample_id"])  # raises, and says how a run gets its first epoch
    chosen = rank(run, "mislabeled") if scores is None else scores
    suspects, classes = judged_suspects(run, chosen)
    flagged = suspects.mask(len(run.sample_ids))
    return Context(
        run=run,
        scores=chosen,
        suspects=suspects,
        signals=read_signals(run, flagged, suspects.rows[:LISTED]),
        classes=classes,
        read=content_reader(data, tokenizer=tokenizer) if data is not None else _nothing,
        data=data,
        truth=truth,
        notes=tuple(notes),
    )


def _nothing(_: int) -> Content:
    return Content(missing="no data given")
