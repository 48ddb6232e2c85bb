"""All that the sections of a report are made from, read from the run once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from gwa_attrib.analyses import rank
from gwa_attrib.report.previews import Preview, Previewer, previewer
from gwa_attrib.report.signals import Signals, read_signals
from gwa_attrib.report.suspects import Suspects, suspects_of
from gwa_attrib.scores import Scores
from gwa_attrib.store import Run
from gwa_attrib.store.summaries import COLUMNS

GALLERY = 60
"""Suspects that are shown one by one."""
LISTED = 1000
"""Suspects in the table, and those that can be decided on."""


@dataclass(frozen=True, eq=False)
class Context:
    """What a section is given."""

    run: Run
    scores: Scores
    """What the suspects are taken from."""
    suspects: Suspects
    signals: Signals
    previews: tuple[Preview, ...]
    """Of the first `GALLERY` suspects."""
    preview: Previewer
    """What any sample looks like, by its id."""
    has_data: bool
    truth: Mapping[str, float] | None
    notes: tuple[str, ...]

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


def read_context(
    run: Run,
    data: Any,
    scores: Scores | None,
    truth: Mapping[str, float] | None,
    notes: Sequence[str],
) -> Context:
    """Read the run, once for the scores and once for the figures."""
    if not run.epoch_numbers:
        run.observations(["sample_id"])  # raises, and says how a run gets its first epoch
    chosen = rank(run, "mislabeled") if scores is None else scores
    suspects = suspects_of(run, chosen)
    is_suspect = suspects.mask(len(run.sample_ids))
    shown = suspects.sample_ids[:GALLERY].tolist()
    preview = previewer(data, run.sample_ids.tolist() if data is not None else [])
    return Context(
        run=run,
        scores=chosen,
        suspects=suspects,
        signals=read_signals(run, is_suspect, suspects.rows[:GALLERY]),
        previews=tuple(preview(sample_id) for sample_id in shown),
        preview=preview,
        has_data=data is not None,
        truth=truth,
        notes=tuple(notes),
    )
