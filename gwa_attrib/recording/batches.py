"""Sample ids that ride inside the batches of a DataLoader, through its workers, unseen by the training loop."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, default_convert, get_worker_info

from gwa_attrib.errors import InputError
from gwa_attrib.value_types import Ints


def base_ids(dataset: Dataset[object]) -> Ints:
    """Return, for each position of `dataset`, the position in the data set at the bottom of its `Subset`s, int64."""
    if isinstance(dataset, Subset):
        # Positions in the subset would give two samples one id, where two loaders read parts of one data set.
        return base_ids(dataset.dataset)[np.asarray(dataset.indices, dtype=np.int64)]
    return np.arange(len(dataset), dtype=np.int64)  # type: ignore[arg-type]


def base_size(dataset: Dataset[object]) -> int:
    """Return the length of the data set at the bottom of any `Subset`s."""
    return base_size(dataset.dataset) if isinstance(dataset, Subset) else len(dataset)  # type: ignore[arg-type]


class IdentifiedDataset(Dataset[object]):
    """A data set whose items carry the position they were asked for."""

    def __init__(self, dataset: Dataset[object]) -> None:
        self.dataset = dataset

    def __getitem__(self, index: int) -> tuple[int, object]:
        return index, self.dataset[index]

    def __getitems__(self, indices: list[int]) -> list[tuple[int, object]]:
        # torch fetches a whole batch by it from data sets that have it (those of `datasets` do).
        fetch = getattr(self.dataset, "__getitems__", None)
        items = fetch(indices) if fetch else [self.dataset[index] for index in indices]
        return list(zip(indices, items, strict=True))

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]


class IdentifiedCollate:
    """The user's collate function, with the positions beside its result."""

    def __init__(self, collate: Callable[[list[Any]], object]) -> None:
        self.collate = collate

    def __call__(self, items: list[tuple[int, object]]) -> tuple[Ints, object]:
        """Return positions and batch; an array, because what moves a batch to a device leaves arrays where they are."""
        positions = np.array([int(position) for position, _ in items], dtype=np.int64)
        return positions, self.collate([item for _, item in items])


class IdentifiedWorker:
    """The user's worker_init_fn; in the worker, ``get_worker_info().dataset`` is the user's data set, as ever."""

    def __init__(self, worker_init_fn: Callable[[int], None] | None) -> None:
        self.worker_init_fn = worker_init_fn

    def __call__(self, worker_id: int) -> None:
        info = get_worker_info()
        if info is not None and isinstance(info.dataset, IdentifiedDataset):
            object.__setattr__(info, "dataset", info.dataset.dataset)  # WorkerInfo refuses plain assignment
        if self.worker_init_fn is not None:
            self.worker_init_fn(worker_id)


def identified(loader: DataLoader[object]) -> DataLoader[object]:
    """Make a loader over the same samples in the same order that yields ``(positions, batch)``.

    It uses the sampler, the generator and all settings of `loader`, and so draws the same random numbers.

    Raises:
        InputError: the loader's samples have no positions.
    """
    if not isinstance(loader, DataLoader) or isinstance(loader.dataset, IterableDataset):
        raise InputError(
            expected="a torch DataLoader over a data set with positions",
            found="an IterableDataset" if isinstance(loader, DataLoader) else type(loader).__name__,
            todo="Iterate over it yourself and pass the ids: recorder.step(targets, sample_ids=ids).",
        )
    # The loader made below iterates as torch does: what a subclass does besides would be lost without a word.
    if type(loader).__iter__ is not DataLoader.__iter__:
        raise InputError(
            expected="a torch DataLoader that iterates as torch does",
            found=f"{type(loader).__name__}, which has a way of its own",
            todo="One that accelerator.prepare returned goes to gwa_attrib.integrations.accelerate.batches(recorder, "
            "loader); over another iterate yourself and pass the ids: recorder.step(targets, sample_ids=ids).",
        )
    if loader.batch_sampler is None or loader.collate_fn is default_convert:
        raise InputError(
            expected="a DataLoader that makes the batches",
            found="batch_size=None, where the data set makes them",
            todo="Iterate over it yourself and pass the ids: recorder.step(targets, sample_ids=ids).",
        )
    return DataLoader(
        IdentifiedDataset(loader.dataset),
        batch_sampler=loader.batch_sampler,
        collate_fn=IdentifiedCollate(loader.collate_fn),
        num_workers=loader.num_workers,
        pin_memory=loader.pin_memory,
        timeout=loader.timeout,
        worker_init_fn=IdentifiedWorker(loader.worker_init_fn),
        multiprocessing_context=loader.multiprocessing_context,
        generator=loader.generator,
        prefetch_factor=loader.prefetch_factor,
        persistent_workers=loader.persistent_workers,
        in_order=loader.in_order,
    )


class Batches:
    """The batches of a loader; before each one is handed out, `announce` gets the ids of its samples."""

    def __init__(self, loader: DataLoader[object], announce: Callable[[Tensor], None]) -> None:
        self.loader = identified(loader)
        """Yields ``(positions, batch)``."""
        self.sample_ids = base_ids(loader.dataset)
        self.base_size = base_size(loader.dataset)
        self._announce = announce

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        for item in self.loader:
            yield self.hand_out(item)

    def hand_out(self, item: tuple[Ints, object]) -> Any:
        """Announce the ids of what `loader` yielded, and return the batch."""
        positions, batch = item
        self._announce(self.ids(positions))
        return batch

    def ids(self, positions: Ints) -> Tensor:
        """Return the sample ids at positions of the loader's data set."""
        return torch.from_numpy(self.sample_ids[positions])
