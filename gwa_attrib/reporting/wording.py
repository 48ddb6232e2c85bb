"""How text and numbers are written in the report."""

import math
from collections.abc import Sequence

from gwa_attrib.display.text import visible

NOTHING = "–"
"""Stands where there is no number."""

__all__ = ["NOTHING", "count", "listed", "number", "percent", "shortened", "visible", "visible_lines"]


def visible_lines(text: object) -> str:
    """Make a text visible whose line breaks and tabs are meant."""
    lines = str(text).replace("\r\n", "\n").split("\n")
    return "\n".join("\t".join(visible(cell) for cell in line.split("\t")) for line in lines)


def shortened(text: str, most: int) -> str:
    """At most `most` characters, the last of which says that there are more."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def number(value: float | None, digits: int = 3) -> str:
    """With a real minus sign, and a dash for no number.

    >>> number(-0.12345), number(float("nan")), number(1234567, 0)
    ('−0.123', '–', '1,234,567')
    """
    if value is None or math.isnan(value):
        return NOTHING
    return f"{value:,.{digits}f}".replace("-", "−")


def percent(share: float | None, digits: int = 1) -> str:
    """A share in [0, 1] in percent.

    >>> percent(0.1234).replace("\u00a0", " "), percent(None)
    ('12.3 %', '–')
    """
    return NOTHING if share is None or math.isnan(share) else f"{100 * share:.{digits}f}\u00a0%"


def count(value: float, one: str, many: str | None = None) -> str:
    """A number with its noun.

    >>> count(1, "suspect").split(), count(1200, "class", "classes").split()
    (['1', 'suspect'], ['1,200', 'classes'])
    """
    return f"{value:,.0f}\u00a0{one if value == 1 else many or one + 's'}"


def listed(items: Sequence[object], most: int = 8) -> str:
    """A list for a sentence, cut short.

    >>> listed([1, 2, 3]), listed(range(12), most=2)
    ('1, 2 and 3', '0, 1 and 10 more')
    """
    texts = [visible(item) for item in items]
    if len(texts) > most:
        texts = [*texts[:most], f"{len(items) - most} more"]
    return " and ".join([", ".join(texts[:-1]), texts[-1]]) if len(texts) > 1 else "".join(texts)
