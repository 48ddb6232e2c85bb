"""Results in a notebook: one small table in HTML, in which every text of the data is text.

No scripts, no style sheets, no ids, and no attribute that comes from the data: what a notebook stores and mails on
stays small and harmless, whatever is in the data.
"""

import html
import math
from collections.abc import Mapping
from numbers import Integral, Real

import numpy as np
import pandas as pd

from gwa_attrib.display.text import legible

ROWS, COLUMNS = 10, 8
"""Most rows and columns of a table; the index is one of the columns."""
WIDTH, TITLE, LINE = 28, 80, 480
"""Characters of a cell (of more where there are fewer columns), of the title, and of the line of facts. Were every one
of them an ampersand, it would still be less than 20 kB."""
NOTHING = "–"
LEFT, RIGHT = ' style="text-align: left"', ' style="text-align: right"'


def small_html(
    title: str,
    facts: Mapping[str, object],
    table: pd.DataFrame | None = None,
    *,
    of: int | None = None,
    what: str = "rows",
) -> str:
    """A title, facts in one line, and the first rows and columns of a table with what is left out of it.

    Args:
        title: What it is.
        facts: By name; those that are None are left out.
        table: Its index is shown if it has a name.
        of: How many rows there are in all, where `table` has some of them.
        what: The rows are, and which of them are shown.
    """
    known = [f"{name} {shown(value, LINE)}" for name, value in facts.items() if value is not None]
    lines = [f"<p><strong>{escaped(title, TITLE)}</strong></p>"]
    lines += [f"<p>{escaped(' · '.join(known), LINE)}</p>"] if known else []
    lines += _table(table, len(table) if of is None else of, what) if table is not None else []
    return f"<div>{''.join(lines)}</div>"


def escaped(text: object, most: int) -> str:
    """Text for the inside of an element: nothing hides in it, and nothing is markup."""
    return html.escape(legible(text, most), quote=False)


def shown(value: object, most: int = WIDTH) -> str:
    """A value for people: a dash where there is none, numbers to four digits, texts of at most `most` characters.

    >>> shown(float("nan")), shown(1234567), shown(-0.123456), shown(np.bool_(True)), shown("a\\x00")
    ('–', '1,234,567', '−0.1235', 'yes', 'a[U+0000]')
    """
    if value is None or value is pd.NA or value is pd.NaT:
        return NOTHING
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, Integral):
        return f"{int(value):,}".replace("-", "−")
    if isinstance(value, Real):
        number = float(value)
        return NOTHING if math.isnan(number) else f"{number:.4g}".replace("-", "−")
    return legible(value, most)


def _table(table: pd.DataFrame, rows: int, what: str) -> list[str]:
    named = table.index.name is not None
    part = table.iloc[:ROWS, : COLUMNS - named]
    columns = [part.iloc[:, i].tolist() for i in range(part.shape[1])]  # a frame may have a name twice
    heads = [*([table.index.name] if named else []), *part.columns]
    columns = [*([part.index.tolist()] if named else []), *columns]
    sides = [LEFT if any(isinstance(value, str) for value in column) else RIGHT for column in columns]
    wide = WIDTH * COLUMNS // max(len(heads), 1)
    head = "".join(f"<th{side}>{escaped(name, wide)}</th>" for name, side in zip(heads, sides, strict=True))
    body = "".join(_row(row, sides, wide) for row in zip(*columns, strict=True))
    everything = table.shape[1] + named
    out = [f"{len(part):,} of {rows:,} {what}"] if len(part) < rows else []
    out += [f"{len(heads)} of {everything:,} columns"] if len(heads) < everything else []
    if not heads:
        return []
    left_out = [f"<p>{'; '.join(out)}</p>"] if out else []
    return [f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>", *left_out]


def _row(row: tuple[object, ...], sides: list[str], wide: int) -> str:
    cells = (f"<td{side}>{escaped(shown(value, wide), wide)}</td>" for value, side in zip(row, sides, strict=True))
    return f"<tr>{''.join(cells)}</tr>"
