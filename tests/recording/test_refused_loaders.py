"""A loader whose samples have no positions is refused, with the way to record all the same."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset

from gwa_attrib.errors import InputError
from gwa_attrib.recording.batches import Batches
from tests import loops
from tests.loops import Told


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        return zip(Told().x, Told().y, strict=True)


class CountedStream(Stream):
    def __len__(self) -> int:
        return loops.SAMPLES


REFUSED: dict[str, Any] = {
    "stream": lambda: DataLoader(Stream(), 4),
    "stream with a length": lambda: DataLoader(CountedStream(), 4),
    "stream without batches": lambda: DataLoader(Stream(), batch_size=None),
    "batch_size=None": lambda: DataLoader(Told(), batch_size=None),
    "list of batches": lambda: [(Told().x, Told().y)],
    "generator": lambda: iter([(Told().x, Told().y)]),
    "data set": Told,
    "tensor": lambda: torch.zeros(3),
    "none": lambda: None,
}


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in REFUSED.items()])
def test_is_refused_with_advice(make: Any) -> None:
    with pytest.raises(InputError, match=r"sample_ids=ids"):
        Batches(make(), print)


def test_a_loader_that_iterates_in_a_way_of_its_own_is_refused() -> None:
    class Twice(DataLoader):  # type: ignore[type-arg]
        def __iter__(self) -> Any:
            for _ in range(2):
                yield from super().__iter__()

    with pytest.raises(InputError, match="Twice, which has a way of its own"):
        Batches(Twice(Told(), 4), lambda ids: None)
