"""The answer of a stopping rule, and what it is told."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from jaxtyping import Float

from gwa_attrib.errors import InputError

Mode = Literal["scratch", "finetune"]
WARM_UP = 0.1
"""Share of the training in which no epoch is chosen, when training from scratch."""


@dataclass(frozen=True)
class Setting:
    """The training as it is meant: what a rule is told."""

    mode: Mode = "scratch"
    epochs: int | None = None
    """How many are planned; None: those there are."""
    patience: int | None = None
    """Epochs without a better one after which to stop; None: never, or as the rule has it."""
    metric: str = "val_accuracy"
    """For the rule "validation"."""

    def __post_init__(self) -> None:
        if self.mode not in ("scratch", "finetune"):
            raise InputError(
                expected="mode 'scratch' or 'finetune'", found=repr(self.mode), todo="Say how training began."
            )
        for name in ("epochs", "patience"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(expected=f"{name} to be at least 1", found=f"{value}", todo="Leave it None.")


@dataclass(frozen=True)
class Choice:
    """The answer of a rule about the epochs so far."""

    rule: str
    epoch: int
    """Number of the epoch to keep."""
    stop: bool
    """True if the training is to end now."""
    measure: str
    """The proxy or metric that decided."""
    reason: str
    also: tuple[int, ...] = ()
    """Epochs that the rule may come back to later: their weights are worth keeping too."""


def largest(values: Float[np.ndarray, " epoch"], setting: Setting) -> int:
    """Position of the epoch with the largest value that may be chosen; the last epoch while there is none.

    From scratch: after the first tenth of the training. Fine-tuning: after the first minimum, as alignment starts high,
    falls, and rises again.
    """
    first = warm_up(len(values), setting) if setting.mode == "scratch" else first_minimum(values)
    allowed = values[first:]
    if not np.isfinite(allowed).any():
        return len(values) - 1
    return first + int(np.nanargmax(allowed))


def warm_up(count: int, setting: Setting) -> int:
    """Number of epochs that end within the first tenth of the training."""
    return int(WARM_UP * (setting.epochs or count) + 1e-9)


def first_minimum(values: Float[np.ndarray, " epoch"]) -> int:
    """Position of the first value that the next one exceeds; the end while there is none.

    >>> first_minimum(np.array([5.0, 3.0, 2.0, 4.0, 1.0])), first_minimum(np.array([3.0, 2.0]))
    (2, 2)
    """
    known = np.flatnonzero(np.isfinite(values))
    for here, following in pairwise(known):
        if values[following] > values[here]:
            return int(here)
    return len(values)


def waited(chosen: int, count: int, patience: int | None) -> bool:
    """Tell whether the chosen epoch lies `patience` epochs back."""
    return patience is not None and count - 1 - chosen >= patience
