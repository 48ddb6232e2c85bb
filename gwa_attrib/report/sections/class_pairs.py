"""The class-pair heat map: which given labels the suspects have, and which labels are proposed for them.

A table rather than a drawing: it can be read aloud, selected and searched, and class names of any script fit.
"""

import math
from collections import Counter
from typing import Any

from gwa_attrib.report.context import Context
from gwa_attrib.report.section import Section
from gwa_attrib.report.wording import shortened, visible

MOST = 15
"""Classes on each side of the map: those of the busiest pairs."""
SHADES = 6
PAIRS = 10

Pairs = Counter[tuple[str, str]]


def class_pairs(context: Context) -> Section:
    """The map, and the busiest pairs as a list."""
    pairs = context.suspects.pairs()
    order = {name: i for i, name in enumerate(context.class_names)}
    rows, columns = (sorted(names, key=lambda name: order[name]) for names in busiest(pairs))
    peak = max(pairs.values(), default=0)
    values = {
        "columns": [_name(name) for name in columns],
        "rows": [
            {"name": _name(row), "cells": [_cell(pairs, row, column, peak) for column in columns]} for row in rows
        ],
        "upright": sum(max(5, len(name)) for name in columns) > 70,
        "classes": len(order),
        "left_out": sum(n for (a, b), n in pairs.items() if a not in rows or b not in columns),
        "suspects": len(context.suspects),
        "pairs": [{"given": _name(a), "proposed": _name(b), "count": n} for (a, b), n in pairs.most_common(PAIRS)],
    }
    return Section("class_pairs", "Class pairs", values)


def busiest(pairs: Pairs) -> tuple[set[str], set[str]]:
    """The given and the proposed classes of the busiest pairs, as many pairs as fit into `MOST` of each."""
    rows: set[str] = set()
    columns: set[str] = set()
    for (given, proposed), _ in pairs.most_common():
        if len(rows | {given}) <= MOST and len(columns | {proposed}) <= MOST:
            rows.add(given)
            columns.add(proposed)
    return rows, columns


def shade(count: int, peak: int) -> int:
    """0 for none, then 1 to `SHADES` in equal steps of the square root, so that small counts differ too."""
    return math.ceil(SHADES * math.sqrt(count / peak)) if count else 0


def _cell(pairs: Pairs, row: str, column: str, peak: int) -> dict[str, Any]:
    count = pairs[row, column]
    return {"count": count, "shade": shade(count, peak), "same": row == column}


def _name(name: str) -> str:
    return shortened(visible(name), 24)
