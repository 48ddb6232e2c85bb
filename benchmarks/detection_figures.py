"""The results of the detection benchmark for people: a table in Markdown, and two figures."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from detection_judge import OURS
from matplotlib.figure import Figure

matplotlib.rcParams["svg.hashsalt"] = "gwa_attrib"  # the same picture for the same numbers

SHOWN = 16
"""Methods in the figure, the best by mean rank."""
NAMES = {
    OURS: "mislabeled (ours)",
    "confident_learning": "cleanlab, self-confidence",
    "confident_learning_margin": "cleanlab, normalised margin",
    "confident_learning_entropy": "cleanlab, weighted entropy",
    "aum_threshold": "AUM with threshold samples",
    "neighbours": "vote of 10 neighbours",
    "average_margin": "average_margin (2510.16211)",
    "loss": "loss (CSL)",
}


def write_report(result: dict[str, Any], folder: Path) -> None:
    """`results.md`, `detection.json`, `gap.svg` and `reliability.svg`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "detection.json").write_text(json.dumps(result) + "\n", encoding="utf-8")
    (folder / "results.md").write_text(markdown(result), encoding="utf-8")
    gap_figure(result, folder / "gap.svg")
    reliability_figure(result["summary"]["reliability"], folder / "reliability.svg")


def setting_of(cell: str) -> str:
    return cell.partition("-seed=")[0]


def by_setting(result: dict[str, Any], metric: str) -> dict[str, dict[str, float]]:
    """Of each setting, the mean over its seeds, by method."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for name, cell in result["cells"].items():
        for method, values in cell.get("methods", {}).items():
            found[setting_of(name)][method].append(values[metric])
    return {s: {m: float(np.mean(v)) for m, v in methods.items()} for s, methods in found.items()}


def markdown(result: dict[str, Any]) -> str:
    summary = result["summary"]
    parts = [_ranks(summary), _settings(result), _counts(result), _reliability(summary), _hard(summary)]
    parts.append(_seconds(summary))
    return "# Which detector finds wrong labels\n\n" + "\n".join(line for part in parts for line in [*part, ""])


def _ranks(summary: dict[str, Any]) -> list[str]:
    lines = [
        f"{summary['cells']} trainings. Ranks: over all trainings with wrong labels, 1 is best. FNR: share of the "
        "wrong labels that is missed when as many are flagged as are wrong. Ours behind: trainings in which the "
        "paired 95 % interval of the difference in average precision (bootstrap over the samples) lies wholly below "
        "zero.",
        "",
        "| Method | Trainings | Mean rank by average precision | by FNR | Average precision | FNR | Ours behind |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, m in summary["methods"].items():
        cells = [NAMES.get(name, name), m["trainings"], m["mean_rank_average_precision"], m["mean_rank_fnr"]]
        cells += [f"{m['mean_average_precision']:.3f}", f"{m['mean_fnr']:.3f}", len(m["ours_significantly_behind"])]
        lines.append(_row(cells))
    return lines


def _settings(result: dict[str, Any]) -> list[str]:
    shown = list(result["summary"]["methods"])[:SHOWN]
    cells = _cells_by_setting(result)
    head = ["Setting", "Seeds", "Wrong", *(NAMES.get(m, m) for m in shown)]
    lines = ["## By setting", "", "Average precision, mean over the seeds; bold: the best of all.", ""]
    lines += [_row(head), "|---" * len(head) + "|"]
    for setting, methods in by_setting(result, "average_precision").items():
        best = max(methods.values())
        values = [f"**{methods[m]:.3f}**" if methods[m] == best else f"{methods[m]:.3f}" for m in shown]
        wrong = np.mean([c["errors"] / c["samples"] for c in cells[setting]])
        lines.append(_row([setting, len(cells[setting]), f"{100 * wrong:.1f} %", *values]))
    return lines


def _counts(result: dict[str, Any]) -> list[str]:
    summary, count = result["summary"], result["summary"]["count"]
    off, near, flags = count["median_relative_error"], count["within_20_percent"], summary["flags"]
    lines = [
        "## How many labels are wrong, and what they should be",
        "",
        f"The interval held the truth in {100 * count['interval_held']:.0f} % of the trainings. The estimate was off "
        f"by {100 * off['ours']:.0f} % in the median (cleanlab, from five trainings: {100 * off['cleanlab']:.0f} %), "
        f"and within 20 % of the truth in {100 * near['ours']:.0f} % (cleanlab: {100 * near['cleanlab']:.0f} %). "
        f"Flags, mean F1: ours {flags['ours']:.3f}, cleanlab's `find_label_issues` {flags['cleanlab']:.3f}, the "
        f"threshold of AUM {flags['aum_threshold']:.3f}. Proposals that are right, of the wrong labels: ours "
        f"{summary['proposals']['ours']:.3f}, cleanlab {summary['proposals']['cleanlab']:.3f}.",
        "",
        "| Setting | Wrong | Estimate | Interval | F1 | Right proposals | cleanlab: estimate | F1 | Right proposals |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for setting, cells in _cells_by_setting(result).items():
        ours, theirs = _mean_of(cells, "ours"), _mean_of(cells, "cleanlab")
        row = [setting, f"{np.mean([c['errors'] for c in cells]):.0f}"]
        row += [f"{ours['count']:.0f}", f"{ours['low']:.0f} to {ours['high']:.0f}"]
        row += [f"{ours['f1']:.3f}", f"{ours['proposals']:.3f}"]
        lines.append(_row([*row, f"{theirs['count']:.0f}", f"{theirs['f1']:.3f}", f"{theirs['proposals']:.3f}"]))
    return [line.replace("nan", "") for line in lines]


KINDS = {
    "all": "all",
    "hard pictures": "Fashion-MNIST, CIFAR-10N",
    "ambiguous": "`instance`, NoisyAG-News",
    "others": "digits, breast cancer",
}
"""What the reliability is pooled over: `instance` and NoisyAG-News go before the sets of pictures."""


def _reliability(summary: dict[str, Any]) -> list[str]:
    """One row a bin of the label score, which are the same for all kinds: how many labels, which share is right."""
    kinds = {name: KINDS[name] for name in summary["reliability"]}
    lines = [
        "## What a label score means",
        "",
        "Share of the labels that is right, by label score (the mean of a bin, and how many labels are in it).",
        "",
        _row(list(kinds.values())),
        "|---" * len(kinds) + "|",
    ]
    for bins in zip(*(summary["reliability"][kind] for kind in kinds), strict=True):
        lines.append(_row([_bin(b) for b in bins]))
    return lines


def _bin(found: dict[str, Any]) -> str:
    if not found["samples"]:
        return ""
    return f"{found['label_score']:.2f}: {100 * found['right']:.0f} % of {found['samples']:,}"


def _hard(summary: dict[str, Any]) -> list[str]:
    if not summary["hard"]:
        return []
    among = summary["hard"]["among_first"]
    shares = [f"{NAMES.get(m, m)} {100 * among[m]:.1f} %" for m in list(summary["methods"])[:SHOWN] if m in among]
    return [
        "## Hard but clean",
        "",
        "Pictures turned by a quarter or dimmed, rightly labelled, are "
        f"{100 * summary['hard']['share']:.1f} % of the samples. Of the first suspects, as many as there are wrong "
        f"labels, they are: {', '.join(shares)}.",
    ]


def _seconds(summary: dict[str, Any]) -> list[str]:
    lines = ["## Seconds", "", "One thread each, the mean over the trainings, while others worked beside it.", ""]
    lines += [
        "| Data | Audit | Of it the ranking | Five trainings | Two with threshold samples |",
        "|---|---|---|---|---|",
    ]
    for data, s in summary["seconds"].items():
        values = [f"{s['audit']:.0f}", f"{s['rank']:.1f}", f"{s['out_of_fold']:.0f}", f"{s['aum_threshold']:.0f}"]
        lines.append(_row([data, *values]))
    return lines


def _cells_by_setting(result: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for name, cell in result["cells"].items():
        found[setting_of(name)].append(cell)
    return found


def _mean_of(cells: list[dict[str, Any]], who: str) -> dict[str, float]:
    keys = [key for key in cells[0][who] if key != "flagged"]
    values = {key: [np.nan if cell[who][key] is None else cell[who][key] for cell in cells] for key in keys}
    return {key: float(np.mean(value)) for key, value in values.items()}


def _row(cells: list[Any]) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def gap_figure(result: dict[str, Any], file: Path) -> None:
    """How far ours is ahead of each method in each setting, in average precision."""
    precision = by_setting(result, "average_precision")
    methods = [m for m in result["summary"]["methods"] if m != OURS][:SHOWN]
    gap = np.array([[precision[s][OURS] - precision[s][m] for s in precision] for m in methods])
    figure = Figure(figsize=(2.5 + 0.42 * len(precision), 1.6 + 0.3 * len(methods)), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(gap, cmap="RdBu", vmin=-0.15, vmax=0.15, aspect="auto")
    axes.set_xticks(range(len(precision)), list(precision), rotation=60, ha="right", fontsize=8)
    axes.set_yticks(range(len(methods)), [NAMES.get(m, m) for m in methods], fontsize=8)
    for (row, column), value in np.ndenumerate(gap):
        axes.text(
            column,
            row,
            f"{round(100 * value) or 0:+d}".replace("+0", "0"),
            ha="center",
            va="center",
            fontsize=6.5,
            color="w" if abs(value) > 0.1 else "k",
        )
    figure.colorbar(image, label="average precision: ours less the method's; blue: ours is ahead", shrink=0.8)
    figure.savefig(file, metadata={"Date": None})


def reliability_figure(kinds: dict[str, list[dict[str, Any]]], file: Path) -> None:
    """How often a label is right, by its score: of all, and of each kind."""
    figure = Figure(figsize=(4, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", lw=1)
    for number, (kind, bins) in enumerate(kinds.items()):
        style = {"color": "k", "lw": 2} if kind == "all" else {"color": f"C{number - 1}", "lw": 1}
        name = KINDS[kind].replace("`", "")
        found = [(b["label_score"], b["right"]) for b in bins if b["samples"]]
        axes.plot(*zip(*found, strict=True), "o-", ms=4, label=name, **style)
    axes.legend(frameon=False, fontsize=8)
    axes.set(xlabel="label score", ylabel="share of these labels that is right", xlim=(0, 1), ylim=(0, 1))
    figure.savefig(file, metadata={"Date": None})
