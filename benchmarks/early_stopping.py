"""Which epoch to keep: GWA and its variants against validation sets, LabelWave and gradient disparity.

    python benchmarks/early_stopping.py --histories FILE.jsonl --json [--cifar10n FILE.npz]

Trains each cell of the grid (see stopping_grid.py) once on all its samples, and again without the samples that a
validation set takes. FILE.jsonl gets one line per training, so that a run that was cut off goes on where it ended, and
`--minutes` ends it early; rules are judged from the file alone (`--no-training`). Each criterion chooses an epoch; the
test accuracy of that epoch is compared with the best epoch of the training on all samples, in points of accuracy.
`--report FOLDER` writes tables and figures.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from stopping_figures import curves_figure, regret_figure
from stopping_grid import EPOCHS, Cell, cells, load, train

from gwa_attrib.stopping import stopping_rules
from gwa_attrib.stopping.choice import Setting
from gwa_attrib.stopping.history import History

RULES = tuple(name for name in stopping_rules.names() if name != "validation")
VALIDATION = {0.1: "validation 10 %", 0.01: "validation 1 %"}
BOOTSTRAPS = 2000


def read(path: Path) -> dict[Cell, dict[str, Any]]:
    """The trainings that are done."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return {Cell(**line["cell"]): line for line in map(json.loads, lines)}


def run_grid(arguments: argparse.Namespace, path: Path) -> None:
    """Train what is not done yet, until the time is over."""
    done, deadline = read(path), time.monotonic() + 60 * arguments.minutes
    part, of = map(int, arguments.part.split("/"))
    mine = cells(arguments.seeds, cifar=arguments.cifar10n is not None)[part::of]
    todo = [cell for cell in mine if cell not in done]
    for number, cell in enumerate(todo):
        if time.monotonic() > deadline:
            print(f"time is over: {len(todo) - number} trainings are left", file=sys.stderr)
            return
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            table = train(cell, load(cell, arguments.cifar10n), arguments.epochs, Path(folder) / "run")
        seconds = time.perf_counter() - began
        columns = {name: [_short(value) for value in table[name]] for name in table if name != "seconds"}
        line = {"cell": asdict(cell), "seconds": round(seconds, 1), "epochs": columns}
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        print(
            f"{number + 1}/{len(todo)} {cell.setting} seed {cell.seed} without {cell.held_out}: {seconds:.0f} s",
            file=sys.stderr,
        )


def _short(value: Any) -> float | bool | None:
    if isinstance(value, bool | np.bool_):
        return bool(value)
    return None if pd.isna(value) else float(f"{float(value):.6g}")


def judged(done: dict[Cell, dict[str, Any]]) -> pd.DataFrame:
    """One row for each setting, seed and criterion: test accuracy at the chosen epoch and regret, in points."""
    rows = []
    for cell, line in done.items():
        if cell.held_out:
            continue
        table = pd.DataFrame(line["epochs"])
        best = 100 * table["test_accuracy"].max()
        for criterion, epoch, accuracy in _choices(cell, table, done):
            rows.append(
                {
                    "setting": cell.setting,
                    "seed": cell.seed,
                    "criterion": criterion,
                    "epoch": epoch,
                    "accuracy": 100 * accuracy,
                    "regret": best - 100 * accuracy,
                    "best_epoch": int(table["test_accuracy"].argmax()),
                }
            )
    return pd.DataFrame(rows)


def _choices(cell: Cell, table: pd.DataFrame, done: dict[Cell, dict[str, Any]]) -> Iterator[tuple[str, int, float]]:
    """Criterion, chosen epoch, test accuracy in it."""
    for rule in RULES:
        epoch = _choose(rule, table)
        yield rule, epoch, table["test_accuracy"][epoch]
    for share, name in VALIDATION.items():
        other = done.get(Cell(**{**asdict(cell), "held_out": share}))
        if other is not None:
            retrained = pd.DataFrame(other["epochs"])
            epoch = _choose("validation", retrained)
            yield name, epoch, retrained["test_accuracy"][epoch]


def _choose(rule: str, table: pd.DataFrame) -> int:
    numbers: Any = table
    return int(stopping_rules[rule](History(numbers, None), Setting(epochs=len(table))).epoch)  # type: ignore[arg-type]


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Per criterion, over settings and seeds that every criterion has: means, intervals and the worst setting."""
    complete = rows.groupby(["setting", "seed"])["criterion"].transform("count") == rows["criterion"].nunique()
    rows = rows[complete]
    accuracy = rows.pivot_table(index=["setting", "seed"], columns="criterion", values="accuracy")
    regret = rows.pivot_table(index=["setting", "seed"], columns="criterion", values="regret")
    by_setting = regret.groupby("setting").mean()
    difference = (
        accuracy.sub(accuracy["validation 10 %"], axis=0) if "validation 10 %" in accuracy else accuracy * np.nan
    )
    low, high = _interval(difference)
    return pd.DataFrame(
        {
            "accuracy": accuracy.mean(),
            "regret": regret.mean(),
            "worst_setting": by_setting.max(),
            "settings_within_1_point": (by_setting <= 1.0).sum(),
            "against_validation_10": difference.mean(),
            "low": low,
            "high": high,
            "trainings": len(accuracy),
        }
    ).sort_values("regret")


def _interval(values: pd.DataFrame) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """95 % bootstrap interval of the mean, paired: whole rows are drawn."""
    generator = np.random.default_rng(0)
    drawn = generator.integers(0, len(values), (BOOTSTRAPS, len(values)))
    means = values.to_numpy()[drawn].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975], axis=0)
    return low, high


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--histories", type=Path, required=True)
    parser.add_argument("--cifar10n")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--part", default="0/1", help="K/N: every Nth training from the Kth; each part its own file")
    parser.add_argument("--minutes", type=float, default=150)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--no-training", action="store_true")
    parser.add_argument("--report", type=Path, help="folder for tables and figures")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if not arguments.no_training:
        run_grid(arguments, arguments.histories)
    done = read(arguments.histories)
    rows = judged(done)
    table = summary(rows)
    by_setting = rows.pivot_table(index="setting", columns="criterion", values="regret").round(2)
    result = {
        "trainings": len(done),
        "seconds": round(sum(line["seconds"] for line in done.values())),
        "seeds": sorted({cell.seed for cell in done}),
        "criteria": json.loads(table.round(3).to_json(orient="index")),
        "regret_by_setting": json.loads(by_setting.to_json(orient="index")),
    }
    if arguments.report is not None:
        whole = {cell: line for cell, line in done.items() if cell.seed == cell.held_out == 0}
        trainings = {cell.setting: pd.DataFrame(line["epochs"]) for cell, line in whole.items()}
        regret_figure(rows, arguments.report / "regret.svg")
        curves_figure(trainings, rows, arguments.report / "curves.svg")
        (arguments.report / "results.md").write_text(markdown(result, table, summary(rows[rows["seed"] > 0])))
        (arguments.report / "results.json").write_text(json.dumps(result, indent=1) + "\n")
    if arguments.json:
        print(json.dumps(result))
        return
    with pd.option_context("display.width", 250, "display.max_columns", 40):
        print(table.round(2).to_string())
        print(by_setting.to_string())


def markdown(result: dict[str, Any], table: pd.DataFrame, later: pd.DataFrame) -> str:
    """The table for people; `later` without seed 0, on which the rule "consensus" was found."""
    seconds = f"{result['seconds']:,} s of one thread in all"
    lines = [
        "# Which epoch to keep",
        "",
        f"{result['trainings']} trainings of {EPOCHS} epochs, seeds {result['seeds']}, {seconds}.",
        "",
        "`python benchmarks/early_stopping.py --histories reports/early-stopping/histories.jsonl --cifar10n NPZ "
        "--threads 1 --report reports/early-stopping --json`",
        "",
        "Test accuracy at the chosen epoch, and regret against the best epoch of the training on all samples, in "
        "points; means over the settings and the seeds. Against 10 % validation: paired difference of accuracy, 95 % "
        "interval. The rule `consensus` was found while looking at trainings of seed 0 with other learning rates: the "
        "last column leaves seed 0 out.",
        "",
        "| criterion | accuracy | regret | worst setting | settings within 1 point | against 10 % validation "
        "| regret, other seeds |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in table.iterrows():
        lines.append(
            f"| {name} | {row['accuracy']:.2f} | {row['regret']:.2f} | {row['worst_setting']:.2f} | "
            f"{row['settings_within_1_point']:.0f} | {row['against_validation_10']:+.2f} ({row['low']:+.2f} to "
            f"{row['high']:+.2f}) | {later.loc[name, 'regret']:.2f} |"
        )
    lines += ["", "![Regret of every criterion in every setting](regret.svg)", "", "![Six trainings](curves.svg)", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
