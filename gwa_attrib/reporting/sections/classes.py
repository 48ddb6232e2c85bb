"""Suspects by class, and by pair of classes: which labels they have, and which are proposed for them.

Tables rather than drawings: they can be read aloud, selected and searched, and class names of any script fit.
"""

import math
from collections import Counter
from typing import Any

import numpy as np

from gwa_attrib.reporting.context import Context
from gwa_attrib.reporting.section import Section
from gwa_attrib.reporting.wording import percent, shortened, visible

ROWS = 12
"""Classes in the table; the others are folded away."""
MOST = 15
"""Classes on each side of the map: those of the busiest pairs."""
SHADES = 6
PAIRS = 10

Pairs = Counter[tuple[str, str]]


def section(context: Context) -> Section | None:
    """The table of classes, the map of pairs, and the busiest pairs as a list."""
    pairs = context.suspects.pairs()
    if not pairs:
        return None
    order = {name: i for i, name in enumerate(context.class_names)}
    rows, columns = (sorted(names, key=lambda name: order[name]) for names in busiest(pairs))
    peak = max(pairs.values())
    table = _classes(context)
    values = {
        "classes": table[:ROWS],
        "more_classes": table[ROWS:],
        "columns": [_name(name) for name in columns],
        "rows": [
            {"name": _name(row), "cells": [_cell(pairs, row, column, peak) for column in columns]} for row in rows
        ],
        "upright": sum(max(5, len(name)) for name in columns) > 70,
        "number_of_classes": len(order),
        "left_out": sum(n for (a, b), n in pairs.items() if a not in rows or b not in columns),
        "suspects": len(context.suspects),
        "pairs": [{"given": _name(a), "proposed": _name(b), "count": n} for (a, b), n in pairs.most_common(PAIRS)],
    }
    return Section("classes", "By class and pair of classes", values, short="Classes")


def _classes(context: Context) -> list[dict[str, Any]]:
    """One row per class, the one with the most suspects first."""
    given, into = Counter(context.suspects.given), Counter(context.suspects.proposed)
    likeliest: dict[str, tuple[str, int]] = {}
    for (name, proposal), many in context.suspects.pairs().most_common():
        likeliest.setdefault(name, (proposal, many))
    rows = [
        {
            "name": shortened(visible(name), 60),
            "samples": int(size),
            "suspects": given[name],
            "share": percent(given[name] / size if size else None),
            "recall": percent(recall if np.isfinite(recall) else None, 0),
            "learnt": bool(learnt),
            "proposal": _proposal(likeliest.get(name)),
            "into": into[name],
        }
        for name, size, recall, learnt in zip(
            context.run.class_names,
            context.class_sizes,
            context.classes["recall"],
            context.classes["learnt"],
            strict=True,
        )
    ]
    return sorted(rows, key=lambda row: -row["suspects"])


def _proposal(found: tuple[str, int] | None) -> str:
    return "–" if found is None else f"{shortened(visible(found[0]), 60)} ({found[1]:,})"


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


def _cell(pairs: Pairs, row: str, column: str, peak: int) -> dict[str, object]:
    count = pairs[row, column]
    return {"count": count, "shade": shade(count, peak), "same": row == column}


def _name(name: str) -> str:
    return shortened(visible(name), 24)
