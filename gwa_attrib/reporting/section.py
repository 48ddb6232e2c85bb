"""Section: a part of the report. To add one, write a file in `sections/` and name its function in `SECTIONS`."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Section:
    """A heading and the values of its template, ``templates/sections/<name>.html``."""

    name: str
    """Name of the template, and the anchor in the page."""
    title: str
    values: Mapping[str, object] = field(default_factory=dict)
    short: str | None = None
    """In the navigation; `title` if None."""
    in_navigation: bool = True
    reserve: str | None = None
    """Why its numbers are to be read with reserve, beside its heading where it is folded."""
