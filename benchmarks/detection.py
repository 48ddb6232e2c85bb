"""Which detector finds wrong labels, over data sets, kinds of wrong labels and seeds.

    python benchmarks/detection.py --work FOLDER --json [--seeds 3] [--workers 2] [--report reports/detection]
        [--cifar10n NPZ] [--noisyag PARQUET] [--only TEXT] [--no-training] [--earlier reports/detection/detection.json]

Each cell is one audit, and what the peers need beside it: five trainings for cleanlab, two for area under the margin
with threshold samples. All of it stays in FOLDER, so that a call that was cut off goes on, and that `--no-training`
judges the cells that are there by the present code in minutes. With `--earlier`, cells that are not in FOLDER are taken
as an earlier call has judged them. One thread per training.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detection_cells import Cell, Sources, cells, make
from detection_figures import write_report
from detection_judge import judge, summarise
from detection_peers import aum_with_threshold_samples, neighbour_vote
from tqdm.auto import tqdm

import gwa_attrib as gwa
from gwa_attrib.auditing.audited_model import AuditedModel, load_audited_model
from gwa_attrib.comparison.libraries import baselines
from gwa_attrib.comparison.libraries.cross_validation import out_of_fold
from gwa_attrib.files.whole import whole_file

Array = np.ndarray[Any, np.dtype[Any]]


def audited(cell: Cell, sources: Sources, work: Path) -> None:
    """The audit of a cell, unless it is there."""
    torch.set_num_threads(1)
    folder = work / cell.name
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "data.npz"
    if not data.exists():
        arrays = make(cell, sources, work)
        names = np.array([f"class {i}" for i in range(int(arrays["truth"].max()) + 1)])
        arrays |= {name: names[arrays[name]] for name in ("y", "truth")}
        saved(work, data, **arrays)
    if not (folder / "audit.json").exists():
        result = gwa.audit(data, folder / "run", truth="truth", seed=cell.seed, overwrite=True)
        (folder / "audit.json").write_text(json.dumps(result.to_dict()), encoding="utf-8")


def beside(cell: Cell, _: Sources, work: Path) -> None:
    """The trainings of the peers, as far as they are not there."""
    torch.set_num_threads(1)
    folder = work / cell.name
    if (folder / "seconds.json").exists():
        return
    run = gwa.open_run(folder / "run")
    model = load_audited_model(run)
    seconds = {"audit": json.loads((folder / "audit.json").read_text(encoding="utf-8"))["seconds"]}
    began = time.perf_counter()
    before = out_of_fold(model).seconds_before
    seconds["out_of_fold"] = time.perf_counter() - began + before
    for name, peer in PEERS.items():
        began = time.perf_counter()
        saved(work, folder / f"{name}.npz", **peer(model, run))
        seconds[name] = time.perf_counter() - began
    (folder / "seconds.json").write_text(json.dumps(seconds), encoding="utf-8")


PEERS: dict[str, Callable[[AuditedModel, Any], dict[str, Array]]] = {
    "neighbours": lambda audited, _: {"value": neighbour_vote(audited)},
    "aum_threshold": lambda audited, run: aum_with_threshold_samples(audited, run.info["config"]),
    "cleanlab": lambda audited, _: of_cleanlab(audited),
}


def of_cleanlab(audited: AuditedModel) -> dict[str, Array]:
    """The three quality scores, the issues and the count of confident learning."""
    found: dict[str, Array] = {}
    for name in ("confident_learning", "confident_learning_margin", "confident_learning_entropy"):
        scores = baselines[name](audited)
        found[name] = scores.values
        found["is_label_issue"] = scores.columns["is_label_issue"]
        found["predicted_label"] = scores.columns["predicted_label"]
        found["estimated_errors"] = np.asarray(scores.meta["estimated_errors"])
    return found


def saved(work: Path, file: Path, **arrays: Array) -> None:
    with whole_file(file, within=work) as half, half.open("wb") as stream:
        np.savez_compressed(stream, **arrays)


def train_all(todo: list[Cell], sources: Sources, work: Path, workers: int) -> None:
    """In `workers` processes; all audits first."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for part in (audited, beside):
            futures = [pool.submit(part, cell, sources, work) for cell in todo]
            for future in tqdm(futures, desc=part.__name__, disable=None):
                future.result()


def judge_all(folders: list[Path], workers: int) -> dict[str, dict[str, Any]]:
    """Of the cells that are whole."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        found = tqdm(pool.map(judge, folders), total=len(folders), desc="judging", disable=None)
        return dict(zip((folder.name for folder in folders), found, strict=True))


def earlier_cells(file: Path | None) -> dict[str, dict[str, Any]]:
    """As they were judged then."""
    if file is None:
        return {}
    cells: dict[str, dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))["cells"]
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--cifar10n")
    parser.add_argument("--noisyag")
    parser.add_argument("--only", default="", help="cells whose name contains this")
    parser.add_argument("--no-training", action="store_true")
    parser.add_argument("--earlier", type=Path, help="detection.json of an earlier call")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    options.work.mkdir(parents=True, exist_ok=True)
    sources = Sources(options.cifar10n, options.noisyag)
    todo = [cell for cell in cells(options.seeds, sources) if options.only in cell.name]
    if not options.no_training:
        train_all(todo, sources, options.work, options.workers)
    whole = [options.work / cell.name for cell in todo if (options.work / cell.name / "seconds.json").exists()]
    found = {**earlier_cells(options.earlier), **judge_all(whole, options.workers)}
    in_order = [cell.name for cell in todo if cell.name in found]
    found = {name: found[name] for name in (*in_order, *(sorted(found.keys() - set(in_order))))}
    result = {"summary": summarise(found), "missing": len(todo) - len(in_order), "cells": found}
    if options.json:
        print(json.dumps(result))
    if options.report:
        write_report(result, options.report)


if __name__ == "__main__":
    main()
