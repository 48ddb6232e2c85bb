"""Tables of embeddings: rows looked up once, many times or never, by position, and in bags."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.gradients.oracle import Arguments, Body, Readout, assert_exact, columns


@given(
    samples=st.integers(1, 5),
    length=st.integers(0, 6),
    padding=st.sampled_from([None, 0, 2, -1]),
    sparse=st.booleans(),
    seed=st.integers(0, 999),
)
def test_an_embedding_is_exact_however_often_a_row_is_looked_up(
    samples: int, length: int, padding: int | None, sparse: bool, seed: int
) -> None:
    """`length` 0: one id a sample, without a dimension for it."""
    torch.manual_seed(seed)
    ids = torch.randint(0, 4, (samples, length) if length else (samples,))
    table = nn.Embedding(4, 3, padding_idx=padding, sparse=sparse)
    assert_exact(Readout(table, ids), ids)


def test_a_sample_of_padding_only_has_no_gradient() -> None:
    ids = torch.tensor([[1, 1, 1], [1, 2, 1], [0, 3, 3]])
    assert_exact(Readout(nn.Embedding(4, 3, padding_idx=1), ids), ids)


def test_ids_of_three_dimensions_and_of_32_bits_are_exact() -> None:
    ids = torch.randint(0, 7, (4, 3, 2), dtype=torch.int32)
    assert_exact(Readout(nn.Embedding(7, 3), ids), ids)


def test_ids_with_the_time_first_are_exact() -> None:
    def forward(self: Body, ids: Tensor) -> Tensor:
        return F.gelu(self.layer(self.table(ids))).transpose(0, 1)

    ids = torch.randint(0, 7, (3, 4))
    body = Body(forward, table=nn.Embedding(7, 5), layer=nn.Linear(5, 2))
    assert_exact(Readout(body, ids), ids, targets=torch.tensor([0, 1, 2, 0]), pick=columns)


@pytest.mark.parametrize("positions", [5, 6])
@pytest.mark.parametrize("leading", [(), (1,)])
@pytest.mark.parametrize("samples", [1, 4])
def test_position_embeddings_are_exact(positions: int, leading: tuple[int, ...], samples: int) -> None:
    def forward(self: Body, ids: Tensor) -> Tensor:
        place = torch.arange(positions).view(*leading, positions)
        return self.tokens(ids) + self.places(place)

    ids = torch.randint(0, 7, (samples, positions))
    body = Body(forward, tokens=nn.Embedding(7, 3), places=nn.Embedding(positions + 2, 3))
    assert_exact(Readout(body, ids), ids)


def test_position_embeddings_expanded_over_the_batch_are_exact() -> None:
    def forward(self: Body, ids: Tensor) -> Tensor:
        return self.tokens(ids) * self.places(torch.arange(5).expand(len(ids), -1))

    ids = torch.randint(0, 7, (4, 5))
    assert_exact(Readout(Body(forward, tokens=nn.Embedding(7, 3), places=nn.Embedding(5, 3)), ids), ids)


def test_one_position_table_for_two_inputs_is_exact() -> None:
    def forward(self: Body, first: Tensor, second: Tensor) -> Tensor:
        place = torch.arange(5)
        a = torch.tanh(self.tokens(first) + self.places(place))
        return a * (self.tokens(second) + self.places(place))

    ids = (torch.randint(0, 7, (4, 5)), torch.randint(0, 7, (4, 5)))
    assert_exact(Readout(Body(forward, tokens=nn.Embedding(7, 3), places=nn.Embedding(6, 3)), *ids), *ids)


class Bagged(nn.Module):
    """An EmbeddingBag and a head."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.bag, self.head = nn.EmbeddingBag(6, 4, **options), nn.Linear(4, 3)

    def forward(self, ids: Tensor, offsets: Tensor | None = None, weights: Tensor | None = None) -> Tensor:
        return self.head(torch.tanh(self.bag(ids, offsets, weights)))


@given(
    samples=st.integers(1, 5),
    length=st.integers(1, 6),
    mode=st.sampled_from(["sum", "mean"]),
    padding=st.sampled_from([None, 1]),
    weighted=st.booleans(),
    seed=st.integers(0, 999),
)
def test_bags_of_one_length_are_exact(
    samples: int, length: int, mode: str, padding: int | None, weighted: bool, seed: int
) -> None:
    torch.manual_seed(seed)
    ids = torch.randint(0, 6, (samples, length))
    weights = torch.randn(samples, length) if weighted and mode == "sum" else None

    def pick(arguments: Arguments, i: int) -> Arguments:
        return ids[i : i + 1], None, None if weights is None else weights[i : i + 1].double()

    assert_exact(Bagged(mode=mode, padding_idx=padding), ids, None, weights, pick=pick)


@given(
    sizes=st.lists(st.integers(0, 4), min_size=1, max_size=6),
    mode=st.sampled_from(["sum", "mean"]),
    padding=st.sampled_from([None, 1]),
    last=st.booleans(),
    weighted=st.booleans(),
    seed=st.integers(0, 999),
)
def test_bags_of_several_lengths_are_exact_also_empty_ones(
    sizes: list[int], mode: str, padding: int | None, last: bool, weighted: bool, seed: int
) -> None:
    torch.manual_seed(seed)
    ids = torch.randint(0, 6, (sum(sizes),))
    weights = torch.randn(sum(sizes)) if weighted and mode == "sum" else None
    ends = [0, *torch.tensor(sizes).cumsum(0).tolist()]

    def pick(arguments: Arguments, i: int) -> Arguments:
        part = slice(ends[i], ends[i + 1])
        alone = torch.tensor([0, ends[i + 1] - ends[i]] if last else [0])
        return ids[part], alone, None if weights is None else weights[part].double()

    offsets = torch.tensor(ends if last else ends[:-1])
    model = Bagged(mode=mode, padding_idx=padding, include_last_offset=last)
    assert_exact(model, ids, offsets, weights, targets=torch.arange(len(sizes)) % 3, pick=pick)


def test_a_bag_over_frames_folded_into_the_batch_is_exact() -> None:
    ids = torch.randint(0, 6, (4, 3, 5))
    body = Body(lambda self, ids: self.bag(ids.flatten(0, 1)).unflatten(0, ids.shape[:2]), bag=nn.EmbeddingBag(6, 4))
    assert_exact(Readout(body, ids), ids)
