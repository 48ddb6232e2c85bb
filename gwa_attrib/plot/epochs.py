"""Pictures over the epochs: alignments of single samples, and which epoch the stopping rules would keep."""

import operator
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from gwa_attrib.errors import InputError
from gwa_attrib.plot.canvas import axes_for, label_of
from gwa_attrib.plot.curves import paint_missing, whole_epochs
from gwa_attrib.plot.look import CALM, LOOKS, MUTED, PALE, SUSPECT, add_legend_above, plain_axes
from gwa_attrib.plot.series import nothing, opened
from gwa_attrib.stopping import choices
from gwa_attrib.stopping.choice import Mode
from gwa_attrib.store import Run
from gwa_attrib.value_types import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAMED = 8
"""Samples up to which each has a look and a name of its own."""
EACH: tuple[tuple[str, Any], ...] = ((SUSPECT, "-"), *LOOKS, (SUSPECT, (0, (6, 2))), *((c, "-") for c, _ in LOOKS))
MARKERS = ("^", "s", "D", "v", "P", "X", "<", ">", "*", "h")
KEPT = 60
"""Characters of the rules beside an epoch."""


def trajectories(run: Run | str | Path, sample_ids: Sequence[int], *, ax: "Axes | None" = None) -> "Axes":
    """Draw the alignments of some samples epoch by epoch, over the mean of all samples.

    Args:
        run: A run, or its folder.
        sample_ids: Which samples; up to eight are named in the legend.
        ax: Axes to draw on; those of a new figure if None.

    Raises:
        RunFormatError: the run has no epoch yet.
        InputError: no sample, or one that is not in the run.
        NotRecordedError: no alignment is defined.
    """
    read = opened(run)
    ids = _ids(sample_ids)
    rows = np.searchsorted(read.sample_ids, ids)
    known = [i for i, row in zip(ids, rows, strict=True) if row < len(read.sample_ids) and read.sample_ids[row] == i]
    if not ids or len(known) < len(ids):
        unknown = [i for i in ids if i not in known]
        raise InputError(
            expected="ids of samples of this run",
            found=", ".join(map(str, unknown[:5])) + (", …" if len(unknown) > 5 else "") if unknown else "none",
            todo="Choose from run.sample_ids, such as rank(run).top(5).",
        )
    shown, mean = [], []
    for _, dense in read.by_epoch("alignment"):
        values = dense["alignment"]
        shown.append(values[rows])
        mean.append(float(np.nanmean(values, dtype=np.float64)) if not np.isnan(values).all() else np.nan)
    if np.isnan(mean).all():
        raise nothing(
            "a defined alignment", "none: all gradients or weights were zero", "Train with weights that move."
        )
    keys = read.samples["key"].to_numpy()[rows]
    names = [f"{i}" if str(key) == str(i) else f"{i}: {key}" for i, key in zip(ids, keys, strict=True)]
    axes = axes_for(ax)
    paint_trajectories(axes, np.array(read.epoch_numbers), np.stack(shown), np.array(mean), names)
    return axes


def _ids(sample_ids: Sequence[int]) -> list[int]:
    """Each once, as whole numbers."""
    try:
        return list(dict.fromkeys(operator.index(one) for one in sample_ids))
    except TypeError as error:
        raise InputError(
            expected="a list of sample ids, which are whole numbers",
            found=repr(sample_ids)[:80],
            todo="Choose from run.sample_ids, such as rank(run).top(5); keys of samples are in run.samples.",
        ) from error


def stopping(
    run: Run | str | Path, *, mode: Mode = "scratch", metric: str = "val_accuracy", ax: "Axes | None" = None
) -> "Axes":
    """Draw the mean alignment, GWA where it is reliable (right axis), and the epochs that stopping rules would keep.

    Args:
        run: A run, or its folder.
        mode: "scratch", or "finetune" for a model that was pretrained.
        metric: For the rule "validation": which metric, as passed to `end_epoch`.
        ax: Axes to draw on; those of a new figure if None.

    Raises:
        RunFormatError: the run has no epoch yet.
        NotRecordedError: no epoch has a mean alignment.
    """
    read = opened(run)
    table = read.epochs()
    mean, gwa = (pd.to_numeric(table[name], errors="coerce").to_numpy(np.float64) for name in ("mean", "gwa"))
    if np.isnan(mean).all():
        raise nothing(
            "an epoch with a mean alignment", "none", "Record epochs in which gradients and weights are not 0."
        )
    reliable = np.array([value is True or value == 1 for value in table["gwa_reliable"]])
    decided = choices(read, mode=mode, metric=metric).dropna(subset=["epoch"])
    kept: dict[int, list[str]] = {}
    for epoch, rule in sorted(zip(decided["epoch"].astype(int), decided["rule"], strict=True), key=lambda row: row[0]):
        kept.setdefault(int(epoch), []).append(str(rule))
    axes = axes_for(ax, (7.2, 5.2))
    paint_stopping(axes, table["epoch"].to_numpy(np.int64), mean, np.where(reliable, gwa, np.nan), kept)
    return axes


def paint_trajectories(
    axes: "Axes",
    numbers: Array,
    shown: Float[np.ndarray, "epoch shown"],
    mean: Float[np.ndarray, " epoch"],
    names: Sequence[str],
) -> None:
    """Paint a line for each shown sample over the thick line of the mean."""
    plain_axes(axes)
    axes.axhline(0, color=MUTED, linewidth=0.8, linestyle=(0, (2, 2)))
    dot = "o" if len(numbers) < 2 else ""
    axes.plot(numbers, mean, marker=dot, color=PALE, linewidth=5, solid_capstyle="round", label="mean of all samples")
    few = len(names) <= NAMED
    for i, (column, name) in enumerate(zip(shown.T, names, strict=True)):
        colour, dashes = EACH[i] if few else (SUSPECT, "-")
        label = label_of(f"sample {name}") if few else (f"{len(names):,} samples" if i == 0 else None)
        look: dict[str, Any] = {"linewidth": 0.8, "alpha": max(0.15, min(0.8, 12 / len(names))), "marker": dot}
        look = {"linewidth": 1.6, "marker": MARKERS[i], "markersize": 4} if few else look
        axes.plot(numbers, column, color=colour, ls=dashes, label=label, **look)
    whole_epochs(axes, numbers)
    axes.set_xlabel("epoch")
    axes.set_ylabel("alignment (low is suspicious)")
    add_legend_above(axes)


def paint_stopping(
    axes: "Axes",
    numbers: Int[np.ndarray, " epoch"],
    mean: Float[np.ndarray, " epoch"],
    gwa: Float[np.ndarray, " epoch"],
    kept: dict[int, list[str]],
) -> None:
    """Paint both curves, and a marker on the mean alignment for each epoch that a rule keeps, with its rules."""
    plain_axes(axes)
    dot = "o" if len(numbers) < 2 else "."
    (line,) = axes.plot(numbers, mean, marker=dot, color=CALM, label="mean alignment")
    curves, marks = [line], []
    paint_missing(axes, gwa, numbers, "GWA not reliable")
    if not np.isnan(gwa).all():
        right = axes.twinx()
        right.spines[["top", "left"]].set_visible(False)
        (line,) = right.plot(numbers, gwa, marker=dot, color=MUTED, linestyle="--", label="GWA where reliable")
        right.set_ylabel("GWA", color=axes.yaxis.label.get_color())
        right.tick_params(length=3, color=MUTED, labelcolor=axes.yaxis.label.get_color())
        curves.append(line)
    for i, (epoch, rules) in enumerate(kept.items()):
        height = float(mean[numbers == epoch][0])
        names = ", ".join(rule.replace("_", " ") for rule in rules)
        label = label_of(f"epoch {epoch}: {names}", KEPT)
        axes.axvline(epoch, color=SUSPECT, linewidth=0.6)
        look: dict[str, Any] = {"markersize": 10, "markerfacecolor": "none", "markeredgewidth": 1.6}
        at = height if np.isfinite(height) else float(np.nanmin(mean))
        marks += axes.plot([epoch], [at], MARKERS[i % len(MARKERS)], color=SUSPECT, label=label, zorder=4, **look)
    axes.margins(x=0.04, y=0.12)
    whole_epochs(axes, numbers)
    axes.set_xlabel("epoch")
    axes.set_ylabel("mean alignment")
    spans = [patch for patch in axes.patches if str(patch.get_label()) == "GWA not reliable"]
    add_legend_above(axes, [*curves, *spans, *marks])
