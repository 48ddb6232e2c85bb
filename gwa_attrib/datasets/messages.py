"""Names in errors about data: shortened, with control characters escaped, and with row numbers."""

from collections.abc import Iterable
from itertools import islice

import numpy as np
from jaxtyping import Bool

from gwa_attrib.display.text import printable as printable
from gwa_attrib.display.text import storable as storable


def shown(value: object, width: int = 60) -> str:
    """A name for people: quoted, escaped, cut to about `width` characters."""
    text = repr(value[: width + 1] if isinstance(value, str) else value)
    return text if len(text) <= width else f"{text[: width - 1]}…"


def listed(names: Iterable[object], most: int = 12) -> str:
    """The first names, and how many more there are; "none" if there are none."""
    everything = list(names)
    more = len(everything) - most
    return (
        ", ".join(shown(name) for name in islice(everything, most)) + (f" and {more} more" if more > 0 else "")
        or "none"
    )


def rows_where(mask: Bool[np.ndarray, " sample"], most: int = 5) -> str:
    """The first rows where `mask` holds: "2 of 9 samples: rows 3, 7 (the first row is 0)"."""
    rows = np.flatnonzero(mask)
    first = ", ".join(str(row) for row in rows[:most]) + (", …" if len(rows) > most else "")
    return f"{len(rows)} of {len(mask)} samples: row{'s' if len(rows) > 1 else ''} {first} (the first row is 0)"
