"""Harmful samples beyond wrong labels: near-duplicates that contradict each other, hard outliers."""

from collections.abc import Mapping

import numpy as np

from gwa_attrib.analyses import rank
from gwa_attrib.analyses.harmful import FAR
from gwa_attrib.reporting.context import Context
from gwa_attrib.reporting.section import Section
from gwa_attrib.reporting.suspects.tiles import Tile, row_of, tile, wide
from gwa_attrib.reporting.wording import number
from gwa_attrib.store.kept import kept_duplicates
from gwa_attrib.value_types import Array

PAIRS = 8
OUTLIERS = 12


def section(context: Context) -> Section | None:
    """How many have which reason; pairs side by side; outliers."""
    scores = rank(context.run, "harmful", scores=context.mislabeled)
    columns = scores.columns
    pairs = kept_duplicates(context.run)
    contradicted = np.flatnonzero(np.asarray(columns["near_duplicate"]) >= 0)
    contradicted = contradicted[np.argsort(-scores.values[contradicted], kind="stable")]
    shown = _pairs(context, contradicted.tolist(), columns)
    far = np.flatnonzero(np.nan_to_num(columns["outlier_distance"]) >= FAR)
    far = far[np.argsort(-columns["outlier_distance"][far], kind="stable")]
    outliers = [
        tile(context, row, f"{number(columns['outlier_distance'][row], 1)}×", _negative(columns, row))
        for row in far[:OUTLIERS].tolist()
    ]
    if not (pairs is not None and len(pairs)) and not outliers:
        return None
    values: dict[str, object] = {
        "counts": scores.meta["counts"],
        "searched": pairs is not None,
        "duplicates": 0 if pairs is None else len(pairs),
        "conflicts": len(contradicted),
        "pairs": shown,
        "outliers": outliers,
        "far": len(far),
        "beyond": number(FAR, 0),
        "known": bool(np.isfinite(columns["outlier_distance"]).any()),
        "wide": wide([*outliers, *(one for pair in shown for one in pair)]),
    }
    return Section("harmful", "Duplicates, outliers and other harm", values, short="Harm")


def _pairs(context: Context, rows: list[int], columns: Mapping[str, Array]) -> list[list[Tile]]:
    """Each pair once, the one that is probably wrong first."""
    found, seen = [], set()
    for row in rows:
        other = row_of(context, int(columns["near_duplicate"][row]))
        if frozenset((row, other)) in seen:
            continue
        seen.add(frozenset((row, other)))
        scores = columns["label_score"]
        found.append(
            [
                tile(context, one, number(float(scores[one]), 3), "label score; low is suspicious")
                for one in (row, other)
            ]
        )
        if len(found) == PAIRS:
            break
    return found


def _negative(columns: Mapping[str, Array], row: int) -> str:
    return f"negative alignment in {100 * columns['fraction_negative'][row]:.0f}\u00a0% of the epochs"
