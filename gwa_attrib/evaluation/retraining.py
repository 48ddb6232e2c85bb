"""Training again, many times: on parts of the samples, each training leaving a file, so that a call cut off goes on."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from joblib import Parallel, delayed

from gwa_attrib.display.progress import bar, silence
from gwa_attrib.errors import InputError
from gwa_attrib.files.whole import whole_file
from gwa_attrib.value_types import Array, Floats


def run_resumable(
    work: Callable[..., Array], jobs: Mapping[str, tuple[object, ...]], root: Path, *, workers: int = 1
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


def _one(work: Callable[..., Array], arguments: tuple[object, ...], root: Path, name: str, threads: int) -> None:
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


Train = Callable[[Int[np.ndarray, " kept"], int], Float[np.ndarray, " query"]]
"""Trains on some of the samples, with a seed, and returns the loss of each query."""
MASKS = "masks.npy"


def half_subsets(train: int, count: int, *, share: float = 0.5, seed: int = 0) -> Bool[np.ndarray, "subset train"]:
    """Random subsets of ``round(share * train)`` samples each: which samples are in which.

    Raises:
        InputError: a share outside (0, 1), or one that leaves no sample.
    """
    size = round(share * train)
    if not (0 < share < 1 and 0 < size < train):
        raise InputError(
            expected="a share between 0 and 1 that keeps some of the samples, and not all",
            found=f"{share} of {train}",
            todo="Pass share=0.5.",
        )
    generator = np.random.default_rng(seed)
    masks = np.zeros((count, train), dtype=bool)
    for mask in masks:
        mask[generator.choice(train, size, replace=False)] = True
    return masks


def all_but_one(train: int) -> Bool[np.ndarray, "subset train"]:
    """Leave each sample out once."""
    return ~np.eye(train, dtype=bool)


def retrain(
    train: Train, masks: Bool[np.ndarray, "subset train"], folder: str | Path, *, seeds: int = 1, workers: int = 1
) -> Float[np.ndarray, "subset query"]:
    """The losses of the queries after training on each subset; means over `seeds` trainings. See `retrain_each`."""
    found: Floats = retrain_each(train, masks, folder, seeds=seeds, workers=workers).mean(axis=1)
    return found


def retrain_each(
    train: Train, masks: Bool[np.ndarray, "subset train"], folder: str | Path, *, seeds: int = 1, workers: int = 1
) -> Float[np.ndarray, "subset seed query"]:
    """The losses of the queries after every training.

    Each training leaves a file, so that a call that was cut off goes on where it ended.

    Args:
        train: Gets the positions of the samples in the subset, and a seed; returns one loss per query.
        masks: Which samples are in which subset.
        folder: For the results; of these masks alone.
        seeds: Trainings on each subset, with seeds 0, 1...
        workers: Processes; more than one work on one thread each.

    Raises:
        InputError: no subset, or a folder with the results of others, or `train` did not return one loss per query.
        RunError: a file cannot be written.
    """
    if not len(masks) or seeds < 1:
        raise InputError(
            expected="at least one subset and one seed", found=f"{len(masks)} and {seeds}", todo="Pass more of them."
        )
    root = Path(folder)
    _claim(root, masks)
    jobs = {
        _name(subset, seed): (np.flatnonzero(mask), seed) for subset, mask in enumerate(masks) for seed in range(seeds)
    }
    found = run_resumable(train, jobs, root, workers=workers)
    losses = [[found[_name(subset, seed)] for seed in range(seeds)] for subset in range(len(masks))]
    return np.asarray(losses, dtype=np.float64)


def _claim(root: Path, masks: Bool[np.ndarray, "subset train"]) -> None:
    file = root / MASKS
    if file.exists():
        # Files are named by the number of the subset: those of other subsets would be taken for these.
        if not np.array_equal(np.load(file), masks):
            raise InputError(
                expected=f"{root} to hold the trainings of these subsets",
                found="those of others",
                todo="Choose another folder, or pass the same subsets again to go on.",
            )
        return
    if root.exists() and any(root.iterdir()):
        raise InputError(
            expected=f"{root} to be new or empty", found="other files there", todo="Choose another folder."
        )
    save_array(root, file, masks)


def _name(subset: int, seed: int) -> str:
    return f"subset={subset:05d}-seed={seed}"
