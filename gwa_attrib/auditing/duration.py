"""How long a training will take, by its first epoch, and how a faster one is asked for."""

from collections.abc import Sequence

from gwa_attrib.auditing.training import BUDGETS, Budget, Plan, plan_for

LONG = 300.0
"""Seconds from which on a faster budget is named."""


def estimate(first: float, plan: Plan, kind: str, shape: Sequence[int], samples: int, budget: Budget) -> str:
    """How long `plan` will take, whose first epoch took `first` seconds; and, if that is long, a faster budget.

    A faster budget has fewer epochs, whose number its plan says; where its model is narrower, an epoch of it takes
    less than one of this training, and its time is an upper bound.

    >>> plan = plan_for("table", (30,), 5000)
    >>> estimate(2.0, plan, "table", (30,), 5000, "normal")
    'about 38 seconds for 19 epochs'
    """
    seconds = first * plan.epochs
    said = f"about {duration(seconds)} for {plan.epochs} epochs"
    faster = _faster(plan, kind, shape, samples, budget)
    if seconds <= LONG or faster is None:
        return said
    name, other = faster
    at_most = "at most " if other.width < plan.width else "about "
    return f"{said}; --budget {name} has {other.epochs} epochs, {at_most}{duration(first * other.epochs)}"


def duration(seconds: float) -> str:
    """A time for people.

    >>> duration(41.2), duration(61), duration(659), duration(7300)
    ('41 seconds', '1 minute', '11 minutes', '2 hours 2 minutes')
    """
    if seconds < 59.5:
        return _count(max(1, round(seconds)), "second")
    hours, minutes = divmod(max(1, round(seconds / 60)), 60)
    return " ".join(_count(n, unit) for n, unit in ((hours, "hour"), (minutes, "minute")) if n)


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def _faster(plan: Plan, kind: str, shape: Sequence[int], samples: int, budget: Budget) -> tuple[Budget, Plan] | None:
    """The fastest budget and its plan, if it is another one with fewer epochs."""
    other = plan_for(kind, tuple(shape), samples, BUDGETS[0])
    return (BUDGETS[0], other) if budget != BUDGETS[0] and other.epochs < plan.epochs else None
