"""The benchmark of LDS on paper: a table, the scores with their intervals, and the removal curves."""

import json
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

matplotlib.rcParams["svg.hashsalt"] = "gwa_attrib"  # the same picture for the same numbers
DRAWN = 6
"""How many removal curves have a name, of the highest on average; and chance."""
CHANCE = "random:head"
COLOURS = ("C3", "C0", "C2", "C4", "C1", "C5")


def write_report(result: dict[str, Any], folder: Path) -> None:
    """results.json, results.md, lds.svg and removal.svg."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    networks = [name for name, value in result.items() if isinstance(value, dict)]
    lines = ["# How well attribution predicts what training again shows", ""]
    for network in networks:
        lines += table_of(network, result[network])
    (folder / "results.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    _lds_figure({name: result[name] for name in networks}, folder / "lds.svg")
    _removal_figure({name: result[name] for name in networks}, folder / "removal.svg")


def table_of(network: str, found: dict[str, Any]) -> list[str]:
    """Markdown: every method with its LDS from one and from ten models, what removal does, and the cost."""
    removal = pd.DataFrame(found["removal"])
    most = removal["share"].max()
    lines = [
        f"## {network}",
        "",
        f"{found['parameters']:,} parameters, {found['samples']:,} training samples, {found['queries']} queries, "
        f"accuracy {100 * found['accuracy']:.1f} %; {found['trainings']:,} trainings on halves in "
        f"{found['seconds_of_trainings']:.0f} s. LDS: mean over the queries, 95 % bootstrap over them. Left out: "
        "Spearman correlation with leaving each sample out, mean over the queries. Loss: change of the mean over the "
        f"queries in nats when the {100 * most:.0f} % that help most are removed (high: they did help), 95 % over the "
        "seeds. "
        "Seconds and megabytes: of one model.",
        "",
        "| Method | LDS, one model | LDS, ten models | Left out | Loss | Seconds | MB |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in found["methods"]:
        if "skipped" in row:
            lines.append(f"| {row['method']} | {row['skipped']} | | | | | |")
            continue
        gone = removal[(removal["method"] == row["method"]) & (removal["share"] == most)]
        loss = "" if gone.empty else _with_interval(*gone.iloc[0][["change", "low", "high"]], sign="+")
        cells = [_with_interval(**row[key]) if key in row else "" for key in ("one", "ten")]
        megabytes = f"{row['megabytes']:.0f}" if "megabytes" in row else ""
        left_out = f"{row['left_out']:.3f}" if np.isfinite(row.get("left_out", np.nan)) else ""
        lines.append(
            f"| {row['method']} | {cells[0]} | {cells[1]} | {left_out} | {loss} | {row['seconds']:.2f} | {megabytes} |"
        )
    return [*lines, ""]


def _with_interval(lds: float, low: float, high: float, sign: str = "") -> str:
    return f"{lds:{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})" if np.isfinite(lds) else "constant"


def _lds_figure(networks: dict[str, Any], path: Path) -> None:
    rows = max(len(found["methods"]) for found in networks.values())
    figure = Figure(figsize=(5.5 * len(networks), 0.27 * rows + 1.2), layout="constrained")
    for axes, (network, found) in zip(
        np.ravel(figure.subplots(1, len(networks), squeeze=False)), networks.items(), strict=True
    ):
        shown = [row for row in found["methods"] if np.isfinite(row.get("one", {}).get("lds", np.nan))][::-1]
        for place, row in enumerate(shown):
            for key, colour, shift in (("one", "C0", 0.12), ("ten", "C3", -0.12)):
                if key in row:
                    value = row[key]
                    axes.plot([value["low"], value["high"]], [place + shift] * 2, color=colour, lw=1.2)
                    axes.plot(value["lds"], place + shift, "o" if key == "one" else "s", color=colour, ms=4)
        axes.axvline(0, color="k", lw=0.8)
        axes.set_yticks(range(len(shown)), [row["method"] for row in shown], fontsize=8)
        axes.set_title(f"{network}: one model (circles), ten (squares)", fontsize=9)
        axes.set_xlabel("linear datamodeling score; high is good", fontsize=9)
        axes.grid(axis="x", lw=0.4, color="0.85")
        axes.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def _removal_figure(networks: dict[str, Any], path: Path) -> None:
    figure = Figure(figsize=(5.5 * len(networks), 4), layout="constrained")
    for axes, (network, found) in zip(
        np.ravel(figure.subplots(1, len(networks), squeeze=False)), networks.items(), strict=True
    ):
        removal = pd.DataFrame(found["removal"])
        average = removal.groupby("method")["change"].mean().drop(CHANCE)
        best = [str(name) for name in average.sort_values(ascending=False).index[:DRAWN]]
        for name in removal["method"].unique():
            rows = removal[removal["method"] == name]
            x, y = 100 * rows["share"], rows["change"]
            if name in best:
                axes.plot(x, y, color=COLOURS[best.index(str(name))], lw=1.6, marker="o", ms=3, label=name, zorder=3)
            elif name == CHANCE:
                axes.plot(x, y, color="k", lw=1.6, ls="--", label="random", zorder=3)
            else:
                axes.plot(x, y, color="0.82", lw=0.9, zorder=1)
        axes.set_title(network, fontsize=9)
        axes.set_xlabel("samples that help most removed, in %", fontsize=9)
        axes.set_ylabel("change of the queries' loss, in nats", fontsize=9)
        handles, names = axes.get_legend_handles_labels()
        order = sorted(range(len(names)), key=lambda i: [*best, "random"].index(names[i]))
        axes.legend([handles[i] for i in order], [names[i] for i in order], fontsize=8, frameon=False)
        axes.grid(lw=0.4, color="0.85")
        axes.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, metadata={"Date": None})
