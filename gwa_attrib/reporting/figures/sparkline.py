"""Sparklines: a trajectory as an inline SVG of a few hundred bytes."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float
from markupsafe import Markup, escape

from gwa_attrib.reporting.wording import number

WIDTH, HEIGHT, PAD = 160, 32, 2
LEVELS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
"""A letter for each of 64 heights, the lowest first, for the cards that are drawn when they are asked for."""
NO_VALUE = "."
POINTS = 60
"""Epochs of such a track, at most: more than a card has room for would only make the page larger."""


def draw_sparkline(
    values: Float[np.ndarray, " epoch"], usual: Float[np.ndarray, " epoch"], reach: float, name: str
) -> Markup:
    """One sample's trajectory (dark) over the mean of all samples (dotted) and the zero line.

    Epochs in which the sample was not seen are gaps; a single epoch between gaps is a dot.

    Args:
        values: Alignment per epoch; NaN where the sample was not seen.
        usual: Mean alignment of all samples per epoch.
        reach: The scale is from minus `reach` to `reach`, more than 0: the same for all sparklines that are compared.
        name: What the values are, for those who cannot see them.
    """
    first, last = _ends(values)
    label = f"{name}: {number(first, 2)} to {number(last, 2)}" if first is not None else f"{name}: no value"
    lines = "".join(
        f'<path class="{kind}" d="{path}"/>'
        for kind, path in (("usual", path_of(usual, reach)), ("own", path_of(values, reach)))
        if path
    )
    zero = HEIGHT / 2
    return Markup(
        f'<svg class="spark" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img"'
        f' aria-label="{escape(label)}">'
        f"<title>{escape(label)}</title>"
        f'<path class="zero" d="M0 {zero:g}H{WIDTH}"/>{lines}</svg>'
    )


def track(values: Float[np.ndarray, " epoch"], reach: float) -> str:
    """A trajectory as one letter an epoch, `NO_VALUE` where there is none; of many epochs some, evenly spread.

    >>> track(np.array([-0.5, np.nan, 0.0, 0.5]), reach=0.5)
    'A.g_'
    """
    some = values[np.unique(np.linspace(0, len(values) - 1, min(len(values), POINTS)).round().astype(int))]
    level = np.clip(np.nan_to_num(some / reach), -1.0, 1.0) * 31.5 + 31.5
    return "".join(
        NO_VALUE if missing else LEVELS[i]
        for i, missing in zip(np.rint(level).astype(int).tolist(), np.isnan(some).tolist(), strict=True)
    )


def path_of(values: Float[np.ndarray, " epoch"], reach: float) -> str:
    """The `d` attribute: a line through the values, interrupted where there is none; empty if there is no value."""
    step = (WIDTH - 2 * PAD) / max(len(values) - 1, 1)
    half = HEIGHT / 2 - PAD
    scaled = np.clip(values / reach, -1.0, 1.0)
    parts = []
    for begin, end in _stretches(~np.isnan(values)):
        points = [f"{PAD + i * step:.1f} {HEIGHT / 2 - half * scaled[i]:.1f}" for i in range(begin, end)]
        # A stretch of one epoch is a line of no length, which round caps make a dot.
        parts.append("M" + "L".join(points if len(points) > 1 else points * 2))
    return "".join(parts)


def _stretches(present: np.ndarray) -> Iterator[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], present, [False]]).astype(np.int8)))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def _ends(values: Float[np.ndarray, " epoch"]) -> tuple[float | None, float | None]:
    present = values[~np.isnan(values)]
    return (float(present[0]), float(present[-1])) if len(present) else (None, None)
