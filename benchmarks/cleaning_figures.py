"""The results of the cleaning benchmark for people: a table in Markdown and a figure."""

import json
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

matplotlib.rcParams["svg.hashsalt"] = "gwa_attrib"  # the same picture for the same numbers

COLOURS = {"ours": "#2c6496", "cleanlab": "#8a8f98"}
MARKERS = {
    "drop": "o",
    "relabel": "s",
    "drop below 0.2": "v",
    "relabel below 0.2": "^",
    "drop below 0.5": "P",
    "relabel below 0.5": "X",
    "drop below 0.9": "D",
}
COLUMNS = (
    *("Data", "wrong", "way", "decided", "of them wrong", "accuracy", "as it was"),
    *("over random", "over as it was", "ours ahead of cleanlab"),
)


def write_report(result: dict[str, Any], folder: Path) -> None:
    """`results.md`, `cleaning.json` and `gains.svg`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cleaning.json").write_text(json.dumps(result) + "\n", encoding="utf-8")
    (folder / "results.md").write_text(markdown(result), encoding="utf-8")
    figure(result, folder / "gains.svg")


def markdown(result: dict[str, Any]) -> str:
    lines = [
        "# Does cleaning help?",
        "",
        f"Test accuracy in %, mean of {result['seeds']} trainings each (budget {result['budget']}); changes in points "
        "with 95 % intervals, for other trainings and other samples of the test set. Random: as many samples dropped "
        "at random. Ours needs the one training of the audit, cleanlab five more.",
        "",
        f"| {' | '.join(COLUMNS)} |",
        f"|{'---|' * len(COLUMNS)}",
    ]
    for cell, facts in result["cells"].items():
        for way, found in facts["ways"].items():
            after, before = (f"{100 * found['accuracy'][arm]:.2f}" for arm in ("decisions", "as it is"))
            cells = [
                cell,
                f"{facts['wrong']:,}",
                way,
                f"{found['decided']:,}",
                f"{found['were_wrong']:,}",
                after,
                before,
            ]
            cells += [span(found[name]) for name in ("over_random", "over_as_it_is")]
            lines.append(f"| {' | '.join([*cells, span(found.get('ahead_of_cleanlab'))])} |")
    lines += ["", "Seconds, one thread, while others worked beside it: the audit, and cleanlab's five trainings.", ""]
    lines += ["| Data | audit | cleanlab |", "|---|---|---|"]
    for cell, facts in result["cells"].items():
        lines.append(
            f"| {cell} | {facts['seconds_of_audit']:.0f} | {facts['ways']['cleanlab, drop']['seconds_to_rank']:.0f} |"
        )
    return "\n".join(lines) + "\n"


def span(values: list[float] | None) -> str:
    if values is None:
        return ""
    mean, low, high = (f"{100 * value:+.2f}".replace("-", "−") for value in values)
    return f"{mean} ({low} to {high})"


def figure(result: dict[str, Any], file: Path) -> None:
    """Gain over random removal, with its interval."""
    cells = result["cells"]
    drawing = Figure(figsize=(8, 1.2 + 1.4 * len(cells)), layout="constrained")
    axes = drawing.subplots()
    place, names = 0.0, []
    for cell, facts in cells.items():
        first = place
        for way, found in facts["ways"].items():
            who, action = way.split(", ")
            mean, low, high = (100 * value for value in found["over_random"])
            axes.hlines(place, low, high, color=COLOURS[who], linewidth=2)
            axes.plot(mean, place, MARKERS[action], color=COLOURS[who], markersize=7, label=way)
            place += 1
        names.append(((first + place - 1) / 2, f"{cell}\n{facts['wrong']:,} of {facts['samples']:,} wrong"))
        place += 1
    axes.axvline(0, color="#5b6673", linewidth=1)
    axes.set_yticks([p for p, _ in names], [n for _, n in names])
    axes.invert_yaxis()
    axes.set_xlabel("points of test accuracy over as many dropped at random")
    axes.spines[["top", "right"]].set_visible(False)
    handles, labels = axes.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    axes.legend(unique.values(), unique.keys(), frameon=False, fontsize=9)
    drawing.savefig(file, metadata={"Date": None})
