"""The ids that travel with a batch are those of the samples in it, and the batch is the one the plain loader gives."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    WeightedRandomSampler,
    get_worker_info,
    random_split,
)

from gwa_attrib.recording.batches import Batches
from tests import loops
from tests.loops import Told, told_ids


class Fetched(Told):
    """Fetches a whole batch at once."""

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        raise AssertionError("asked one by one")

    def __getitems__(self, indices: list[int]) -> list[tuple[Tensor, Tensor]]:
        return [(self.x[i], self.y[i]) for i in indices]


class Named(Told):
    """Items, and so batches, are dicts."""

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"image": self.x[index], "text": f"#{index}", "label": self.y[index]}


class Scaled(Told):
    scale = 1.0

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        assert get_worker_info() is None or get_worker_info().dataset is self
        return self.x[index] * torch.tensor([1.0, *[self.scale] * 5]), self.y[index]


def scale_in_worker(worker: int) -> None:
    get_worker_info().dataset.scale = 2.0


def transposed(items: list[Any]) -> tuple[Tensor, list[int]]:
    return torch.stack([x for x, _ in items]).T, [int(y) for _, y in items]


def concatenated() -> ConcatDataset[Any]:
    parts = random_split(Told(), [9, 11], generator=torch.Generator().manual_seed(1))
    return ConcatDataset([Subset(Told(), range(5)), *parts])


def weighted(**options: Any) -> DataLoader[Any]:
    weights = torch.arange(float(loops.SAMPLES)) ** 3
    return loops.loader(sampler=WeightedRandomSampler(weights, 30, replacement=True), **options)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(3)


BACKWARDS = Subset(Told(), range(19, -1, -1))
NESTED = Subset(Subset(Told(), torch.arange(18, -1, -2)), [7, 0, -1, 3])
LOADERS: dict[str, Callable[[], DataLoader[Any]]] = {
    "plain": loops.loader,
    "shuffled": lambda: loops.loader(shuffle=True),
    "own generator": lambda: loops.loader(shuffle=True, generator=seeded()),
    "workers": lambda: loops.loader(shuffle=True, num_workers=2),
    "persistent workers": lambda: loops.loader(shuffle=True, num_workers=2, persistent_workers=True),
    "drop_last": lambda: loops.loader(shuffle=True, drop_last=True),
    "last batch of one": lambda: loops.loader(batch_size=19, shuffle=True),
    "batches of one": lambda: loops.loader(batch_size=1),
    "one batch": lambda: loops.loader(batch_size=100),
    "empty subset": lambda: loops.loader(Subset(Told(), [])),
    "reversed subset": lambda: loops.loader(BACKWARDS, shuffle=True),
    "subset of a subset": lambda: loops.loader(NESTED, batch_size=3),
    "random_split": lambda: loops.loader(random_split(Told(), [12, 8], generator=seeded())[0], num_workers=2),
    "weighted, with duplicates": weighted,
    "weighted, in workers": lambda: weighted(num_workers=2),
    "own batch sampler": lambda: DataLoader(Told(), batch_sampler=BatchSampler(RandomSampler(Told()), 7, True)),
    "lists of batches": lambda: DataLoader(Told(), batch_sampler=[[5, 3], [-1], [0, 0, 19]]),
    "sampler": lambda: loops.loader(sampler=SequentialSampler(range(7))),
    "fetches at once": lambda: loops.loader(Fetched(), shuffle=True),
    "fetches at once, subset": lambda: loops.loader(Subset(Fetched(), [9, 2, 4]), num_workers=1),
    "worker_init_fn": lambda: loops.loader(Scaled(), num_workers=1, worker_init_fn=scale_in_worker),
}


def run(make: Callable[[], DataLoader[Any]], wrap: Callable[[DataLoader[Any]], Any]) -> tuple[list[Any], Tensor]:
    """Two epochs over a loader, and the random number that comes after."""
    torch.manual_seed(5)
    batches = wrap(make())
    return [batch for _ in range(2) for batch in batches], torch.rand(1)


@pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in LOADERS.items()])
def test_ids_are_those_of_the_samples_and_batches_those_of_the_loader(make: Callable[[], DataLoader[Any]]) -> None:
    ids: list[list[int]] = []
    expected, random_after = run(make, lambda loader: loader)
    found, random_found = run(make, lambda loader: Batches(loader, lambda announced: ids.append(announced.tolist())))
    assert ids == [told_ids(x) for x, _ in found]
    assert len(found) == len(expected)
    for (x, y), (expected_x, expected_y) in zip(found, expected, strict=True):
        assert x.equal(expected_x)
        assert y.equal(expected_y)
    assert random_found == random_after


def test_batches_may_be_dicts() -> None:
    ids: list[Tensor] = []
    for batch in Batches(loops.loader(Named(), shuffle=True), ids.append):
        assert list(batch) == ["image", "text", "label"]
        assert told_ids(batch["image"]) == ids[-1].tolist() == [int(text[1:]) for text in batch["text"]]


def test_batches_may_be_what_a_collate_function_makes() -> None:
    ids: list[Tensor] = []
    batches = list(Batches(loops.loader(shuffle=True, collate_fn=transposed, num_workers=1), ids.append))
    for (x, y), announced in zip(batches, ids, strict=True):
        assert x.shape[0] == loops.FEATURES
        assert told_ids(x.T) == announced.tolist()
        assert y == [i % 3 for i in announced.tolist()]


def test_a_concatenation_is_a_data_set_of_its_own() -> None:
    """Its parts may share samples: the ids are positions in the concatenation."""
    dataset, ids = concatenated(), []
    for x, _ in Batches(loops.loader(dataset, shuffle=True), lambda announced: ids.append(announced)):
        assert told_ids(x) == [int(dataset[i][0][0]) for i in ids[-1].tolist()]
    assert sorted(torch.cat(ids).tolist()) == list(range(25))


class Slow(Told):
    """The first batch takes longest."""

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        time.sleep(0.5 if index == 0 else 0.0)
        return super().__getitem__(index)


def test_workers_that_overtake_each_other_keep_their_ids() -> None:
    """Without order, batches come as they are done: not as the sampler asked for them."""
    ids: list[Tensor] = []
    for x, _ in Batches(loops.loader(Slow(), batch_size=5, num_workers=2, in_order=False), ids.append):
        assert told_ids(x) == ids[-1].tolist()
    assert sorted(torch.cat(ids).tolist()) == list(range(loops.SAMPLES))
    assert ids[0][0] != 0


def test_ids_are_announced_before_the_batch_is_handed_out() -> None:
    events: list[str] = []
    for _ in Batches(loops.loader(batch_size=10), lambda ids: events.append("ids")):
        events.append("batch")
    assert events == ["ids", "batch"] * 2


def test_a_loop_may_end_early_and_begin_again() -> None:
    ids: list[list[int]] = []
    batches = Batches(loops.loader(), lambda announced: ids.append(announced.tolist()))
    for _ in batches:
        break
    iterator: Iterator[Any] = iter(batches)
    x, _ = next(iterator)
    assert ids == [told_ids(x)] * 2


@pytest.mark.parametrize("options", [{}, {"drop_last": True}, {"batch_size": 20}])
def test_there_are_as_many_batches_as_the_loader_has(options: dict[str, Any]) -> None:
    assert len(Batches(loops.loader(**options), print)) == len(loops.loader(**options))


def test_the_data_set_and_the_loader_stay_as_they_were() -> None:
    dataset: Dataset[Any] = Told()
    loader = loops.loader(dataset)
    before = dict(vars(loader))
    assert len(list(Batches(loader, lambda ids: None))) == len(loader)
    assert loader.dataset is dataset
    assert vars(loader) == before
