"""Files that a reader left out of a data set, and why."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

NAMED = 20
"""Damaged files that are named one by one."""


class Skipped(NamedTuple):
    """A file or folder that was left out; as text "path: reason"."""

    path: str
    """Within the data set, printable."""
    reason: str
    damaged: bool
    """True if it was to be a sample and could not be read; False for what is no sample at all, or lies elsewhere."""

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def ordered(skipped: Iterable[Skipped]) -> tuple[Skipped, ...]:
    """The damaged first, each kind in its order."""
    return tuple(sorted(skipped, key=lambda one: not one.damaged))


def sentences(damaged: Sequence[str], others: Sequence[str], whole_list: str) -> list[str]:
    """Name each damaged file with its reason, up to `NAMED` of them; count the others that were passed over.

    Args:
        damaged: "path: reason" each.
        others: Likewise, of what is no sample.
        whole_list: Where all of it can be read.
    """
    said = [f"Could not be read and was left out: {one}." for one in damaged[:NAMED]]
    if len(damaged) > NAMED:
        said.append(
            f"{len(damaged) - NAMED} more could not be read and were left out; the whole list is in {whole_list}."
        )
    if others:
        reasons = Counter(one.rpartition(": ")[2] for one in others)
        counts = ", ".join(f"{reason} ({count})" for reason, count in reasons.most_common(5))
        what = (
            "1 other entry is no sample and was"
            if len(others) == 1
            else f"{len(others)} other entries are no samples and were"
        )
        said.append(f"{what} passed over: {counts}.")
    return said
