"""How well each detector did on a cell of the detection benchmark, by the present code; and over all cells."""

import json
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from detection_cells import NOISES
from sklearn.metrics import f1_score

import gwa_attrib as gwa
from gwa_attrib.analyses import analyses
from gwa_attrib.comparison.named_methods import NO_DETECTORS
from gwa_attrib.evaluation import mislabel_metrics
from gwa_attrib.evaluation.intervals import METRICS, drawn_metrics, percentiles
from gwa_attrib.scores import Scores

Array = np.ndarray[Any, np.dtype[Any]]
OURS = "mislabeled"
DRAWS = 300
PAIRED = ("average_precision", "precision_at_errors")
OTHER_QUESTIONS = (*NO_DETECTORS, "harmful")
"""Rankings of the package that ask something else, "harmful" with ours among its reasons."""
BINS = (0.0, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 1.0)
"""Of the label score, for the reliability diagram."""
CLEANLAB = ("confident_learning", "confident_learning_margin", "confident_learning_entropy")
TRAININGS = {**dict.fromkeys(CLEANLAB, 5), "aum_threshold": 2}


def all_scores(folder: Path) -> tuple[dict[str, Scores], float]:
    """Of every method, and the seconds that ours took."""
    run = gwa.open_run(folder / "run")
    began = time.perf_counter()
    found = {OURS: gwa.rank(run, OURS)}
    seconds = time.perf_counter() - began
    found |= {name: gwa.rank(run, name) for name in analyses.names() if name not in (OURS, *OTHER_QUESTIONS)}
    for name, suspect in (("neighbours", "low"), ("aum_threshold", "low")):
        with np.load(folder / f"{name}.npz") as stored:
            found[name] = _scores(stored["value"], name, suspect)
    with np.load(folder / "cleanlab.npz") as stored:
        found |= {name: _scores(stored[name], name, "low") for name in CLEANLAB}
    samples = len(found[OURS])
    found["random"] = _scores(np.random.default_rng(0).permutation(samples).astype(float), "random", "low")
    return found, seconds


def _scores(values: Array, name: str, suspect: Any) -> Scores:
    return Scores(values.astype(np.float64), np.arange(len(values)), method=name, suspect=suspect)


def judge(folder: Path) -> dict[str, Any]:
    """Metrics of every method, how far ours is ahead of it, and the count, the flags and the proposals."""
    with np.load(folder / "data.npz") as data:
        given, truth, hard = data["y"], data["truth"], data["hard"]
    wrong = given != truth
    scores, seconds = all_scores(folder)
    known = json.loads((folder / "seconds.json").read_text(encoding="utf-8"))
    ours = scores[OURS]
    with np.load(folder / "cleanlab.npz") as stored, np.load(folder / "aum_threshold.npz") as aum:
        names = np.array(gwa.open_run(folder / "run").class_names)
        others = {
            "cleanlab": {
                "count": int(stored["estimated_errors"]),
                "f1": _f1(wrong, stored["is_label_issue"]),
                "flagged": int(stored["is_label_issue"].sum()),
                "proposals": _share(names[stored["predicted_label"]] == truth, wrong),
            },
            "aum_threshold": {"f1": _f1(wrong, aum["is_label_issue"]), "flagged": int(aum["is_label_issue"].sum())},
        }
    flags = ours.columns["is_label_issue"]
    suspects = ours.top(int(wrong.sum()))
    result: dict[str, Any] = {
        "samples": len(given),
        "errors": int(wrong.sum()),
        "seconds": {**known, "rank": round(seconds, 3)},
        "ours": {
            **ours.meta["estimated_errors"],
            "f1": _f1(wrong, flags),
            "proposals": _share(ours.columns["predicted_label"] == truth, wrong),
        },
        **others,
        "reliability": _reliability(ours.columns["label_score"], ~wrong),
    }
    if hard.any():
        result["hard"] = {
            "share": float(hard.mean()),
            "among_first": {name: float(hard[s.top(len(suspects))].mean()) for name, s in scores.items()},
        }
    if wrong.any():
        drawn = {name: drawn_metrics(each, wrong, draws=DRAWS) for name, each in scores.items()}
        result["methods"] = {
            name: {
                **{metric: round(mislabel_metrics(each, wrong)[metric], 4) for metric in METRICS},
                "ahead": {m: _ahead(drawn[OURS][m], drawn[name][m]) for m in PAIRED},
            }
            for name, each in scores.items()
        }
    return result


def _ahead(one: Array, two: Array) -> list[float]:
    return [round(float(bound), 4) for bound in percentiles(one - two)]


def _f1(wrong: Array, flags: Array) -> float:
    return round(float(f1_score(wrong, flags, zero_division=0.0)), 4)


def _share(right: Array, of: Array) -> float | None:
    return round(float(right[of].mean()), 4) if of.any() else None


def _reliability(score: Array, right: Array) -> list[list[float]]:
    """Of each bin: how many, the sum of their scores, and how many are right."""
    where = np.clip(np.digitize(score, BINS) - 1, 0, len(BINS) - 2)
    found = []
    for number in range(len(BINS) - 1):
        inside = where == number
        found.append([int(inside.sum()), round(float(score[inside].sum()), 3), int(right[inside].sum())])
    return found


def summarise(cells: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Over all cells: mean ranks, where ours is behind, and how good the counts, flags and proposals are."""
    noisy = {name: cell for name, cell in cells.items() if "methods" in cell}
    precision = _table(noisy, "average_precision")
    at_errors = _table(noisy, "precision_at_errors")
    methods = {}
    ranks = {"average_precision": precision.rank(ascending=False), "fnr": at_errors.rank(ascending=False)}
    for name in precision.index:
        behind = [cell for cell, found in noisy.items() if found["methods"][name]["ahead"]["average_precision"][1] < 0]
        methods[name] = {
            "mean_rank_average_precision": round(float(ranks["average_precision"].loc[name].mean()), 2),
            "mean_rank_fnr": round(float(ranks["fnr"].loc[name].mean()), 2),
            "mean_average_precision": round(float(precision.loc[name].mean()), 4),
            "mean_fnr": round(float(1 - at_errors.loc[name].mean()), 4),
            "trainings": TRAININGS.get(name, 1),
            "ours_significantly_behind": behind,
        }
    return {
        "cells": len(cells),
        "methods": dict(sorted(methods.items(), key=lambda item: item[1]["mean_rank_average_precision"])),
        "count": _count(cells),
        "flags": _mean(noisy, ("ours", "cleanlab", "aum_threshold"), "f1"),
        "proposals": _mean(noisy, ("ours", "cleanlab"), "proposals"),
        "reliability": {kind: _pooled_reliability(among) for kind, among in _by_kind(cells).items()},
        "hard": _hard(cells),
        "seconds": _seconds(cells),
    }


def _table(cells: dict[str, dict[str, Any]], metric: str) -> pd.DataFrame:
    return pd.DataFrame({name: {m: v[metric] for m, v in cell["methods"].items()} for name, cell in cells.items()})


def _count(cells: dict[str, dict[str, Any]]) -> dict[str, Any]:
    noisy = [cell for cell in cells.values() if cell["errors"]]
    error = {who: [abs(cell[who]["count"] / cell["errors"] - 1) for cell in noisy] for who in ("ours", "cleanlab")}
    held = [cell["ours"]["low"] <= cell["errors"] <= cell["ours"]["high"] for cell in cells.values()]
    return {
        "interval_held": round(float(np.mean(held)), 3),
        "median_relative_error": {who: round(float(np.median(values)), 3) for who, values in error.items()},
        "within_20_percent": {who: round(float(np.mean(np.array(v) <= 0.2)), 3) for who, v in error.items()},
        "flagged_of_clean": {n: c["ours"]["count"] / c["samples"] for n, c in cells.items() if not c["errors"]},
    }


def _mean(cells: dict[str, dict[str, Any]], who: tuple[str, ...], what: str) -> dict[str, float]:
    return {name: round(float(np.mean([cell[name][what] for cell in cells.values()])), 4) for name in who}


def _by_kind(cells: dict[str, dict[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    """All; and those that differ in what a label score means, as far as there are some."""
    ambiguous = {name for name in cells if "instance" in name or name.startswith("noisyag")}
    pictures = {name for name in cells if name.startswith(("fashion-mnist", "cifar10n"))} - ambiguous
    kinds = {"all": set(cells), "hard pictures": pictures, "ambiguous": ambiguous}
    kinds["others"] = kinds["all"] - pictures - ambiguous
    return {kind: {name: cells[name] for name in cells if name in names} for kind, names in kinds.items() if names}


def _pooled_reliability(cells: dict[str, dict[str, Any]]) -> list[dict[str, float | None]]:
    """By bin: how many labels, their mean score, and which share is right; None where there is no label."""
    total = np.sum([cell["reliability"] for cell in cells.values()], axis=0)
    return [
        {"samples": int(n), "label_score": round(s / n, 4) if n else None, "right": round(r / n, 4) if n else None}
        for n, s, r in total.tolist()
    ]


def _hard(cells: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Mean over the cells that have hard samples: their share of all, and of the first suspects of each method."""
    found = [cell["hard"] for cell in cells.values() if "hard" in cell]
    if not found:
        return {}
    methods = {
        name: round(float(np.mean([h["among_first"][name] for h in found])), 4) for name in found[0]["among_first"]
    }
    return {"share": round(float(np.mean([h["share"] for h in found])), 4), "among_first": methods}


def _seconds(cells: dict[str, dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Mean by data set."""
    found: dict[str, list[dict[str, float]]] = defaultdict(list)
    for name, cell in cells.items():
        found[next(data for data in NOISES if name.startswith(data))].append(cell["seconds"])
    return {data: pd.DataFrame(rows).mean().round(2).to_dict() for data, rows in found.items()}
