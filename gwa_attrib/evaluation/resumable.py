"""Many trainings, each of which leaves a file: a call that was cut off goes on where it ended."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joblib import Parallel, delayed

from gwa_attrib.display.progress import bar, silence
from gwa_attrib.errors import InputError
from gwa_attrib.files.whole import whole_file

Array = np.ndarray[Any, np.dtype[Any]]


def run_resumable(
    work: Callable[..., Array], jobs: Mapping[str, tuple[Any, ...]], root: Path, *, workers: int = 1
) -> dict[str, Array]:
    """``work(*arguments)`` for each job, in ``root/NAME.npy`` if it is there already.

    Args:
        work: Returns one value per query, ``[query]``.
        jobs: Arguments by the name of the job.
        root: A folder for the results of these jobs alone.
        workers: Processes; more than one work on one thread each.

    Raises:
        InputError: `work` returned another shape.
        RunError: a file cannot be written.
    """
    threads = torch.get_num_threads() if workers == 1 else 1
    todo = [name for name in jobs if not _file(root, name).exists()]
    calls = (delayed(_one)(work, jobs[name], root, name, threads) for name in todo)
    for _ in bar(Parallel(workers, return_as="generator_unordered")(calls), "trainings", total=len(todo)):
        pass
    return {name: np.load(_file(root, name)) for name in jobs}


def save_array(root: Path, file: Path, values: Array) -> None:
    """Whole or not at all."""
    with whole_file(file, within=root) as half, half.open("wb") as stream:
        np.save(stream, values)


def _one(work: Callable[..., Array], arguments: tuple[Any, ...], root: Path, name: str, threads: int) -> None:
    # Processes that take all cores each stand in each other's way.
    torch.set_num_threads(threads)
    with silence():  # in a process of its own it would draw over the line of all trainings
        values = np.asarray(work(*arguments))
    if values.ndim != 1:
        raise InputError(
            expected="train(...) to return one loss per query", found=f"shape {values.shape}", todo="Return [query]."
        )
    save_array(root, _file(root, name), values)


def _file(root: Path, name: str) -> Path:
    return root / f"{name}.npy"
