"""Pictures of the benchmark of stopping rules: regret of every criterion in every setting, and a few trainings."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

matplotlib.rcParams["svg.hashsalt"] = "gwa_attrib"  # the same picture for the same numbers
SHOWN = 8.0
"""Regret at which the colour ends, in points."""
EXAMPLES = (
    "fashion none cosine no-bn",
    "fashion sym40 constant no-bn",
    "fashion sym40 one-cycle bn",
    "fashion pairs20 cosine bn",
    "cifar10n worst cosine no-bn",
    "cifar10n worst cosine bn",
)
"""Settings whose trainings are drawn: where rules agree, where they differ, and where ours fails."""
MARKED = {"consensus": ("C3", "o"), "paper": ("C0", "s"), "label_wave": ("C2", "^"), "last": ("0.5", "x")}


def regret_figure(rows: pd.DataFrame, path: Path) -> None:
    """Settings by criteria, mean over the seeds; the criteria from the smallest mean regret to the largest."""
    table = rows.pivot_table(index="setting", columns="criterion", values="regret").dropna(axis=1, how="all")
    table = table[table.mean().sort_values().index]
    table = pd.concat([table, table.mean().to_frame("mean of all").T])
    figure = Figure(figsize=(1.05 * table.shape[1] + 3.2, 0.27 * len(table) + 1.4), layout="constrained")
    axes = figure.subplots()
    axes.imshow(table.to_numpy().clip(0, SHOWN), cmap="YlOrRd", vmin=0, vmax=SHOWN, aspect="auto")
    for (i, j), value in np.ndenumerate(table.to_numpy()):
        axes.text(
            j,
            i,
            f"{round(value, 1) + 0.0:.1f}",
            ha="center",
            va="center",
            fontsize=8,
            color="w" if value > 5.5 else "k",
        )
    axes.set_xticks(range(table.shape[1]), [name.replace("_", " ") for name in table], rotation=35, ha="left")
    axes.xaxis.tick_top()
    axes.set_yticks(range(len(table)), table.index)
    axes.axhline(len(table) - 1.5, color="k", lw=1)
    axes.tick_params(length=0, labelsize=8)
    axes.set_xlabel("test accuracy lost against the best epoch, in points; mean over seeds", fontsize=9)
    _save(figure, path)


def curves_figure(trainings: dict[str, pd.DataFrame], rows: pd.DataFrame, path: Path) -> None:
    """Test accuracy over the epochs of `EXAMPLES`, seed 0, and what some rules chose."""
    shown = [name for name in EXAMPLES if name in trainings]
    figure = Figure(figsize=(10, 2.6 * ((len(shown) + 2) // 3)), layout="constrained")
    for axes, name in zip(np.ravel(figure.subplots((len(shown) + 2) // 3, 3, squeeze=False)), shown, strict=False):
        table = trainings[name]
        axes.plot(100 * table["test_accuracy"], color="k", lw=1.2, label="test accuracy")
        axes.plot(100 * table["online_accuracy"], color="0.7", lw=1, label="training accuracy")
        chosen: Any = rows[(rows["setting"] == name) & (rows["seed"] == 0)].set_index("criterion")
        for rule, (colour, marker) in MARKED.items():
            epoch = int(chosen.loc[rule, "epoch"])
            axes.plot(
                epoch, 100 * table["test_accuracy"][epoch], marker, color=colour, ms=7, mfc="none", mew=2, label=rule
            )
        axes.set_title(name, fontsize=9)
        axes.set_ylim(top=102)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].legend(fontsize=7, frameon=False)
    figure.supxlabel("epoch", fontsize=9)
    figure.supylabel("%", fontsize=9)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
