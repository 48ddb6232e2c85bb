"""Gradients of a table of embeddings, and their norms, against a loop over the lookups."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gwa_attrib.functional.outer_products import table_gradient, table_squared_norm
from tests import properties
from tests.functional.cases import TOLERANCE

Case = tuple[int, int, Tensor, Tensor, Tensor]


@st.composite
def lookups(draw: st.DrawFn, dtype: torch.dtype = torch.float64) -> Case:
    """Samples, rows, and for each lookup its sample, row and delta; in any order, some samples without lookups."""
    samples, rows, many = draw(st.integers(1, 5)), draw(st.integers(1, 6)), draw(st.integers(0, 20))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))
    sample = torch.randint(samples, (many,), generator=generator)
    row = torch.randint(rows, (many,), generator=generator)
    return samples, rows, sample, row, torch.randn(many, draw(st.integers(1, 4)), generator=generator).to(dtype)


def by_definition(samples: int, rows: int, sample: Tensor, row: Tensor, delta: Tensor) -> Tensor:
    result = torch.zeros(samples, rows, delta.shape[1], dtype=torch.float64)
    for i, j, value in zip(sample.tolist(), row.tolist(), delta.double(), strict=True):
        result[i, j] += value
    return result


each_precision = pytest.mark.parametrize("dtype", [torch.float64, torch.float32])


@each_precision
@given(data=st.data())
def test_the_gradient_is_the_sum_of_the_lookups(dtype: torch.dtype, data: st.DataObject) -> None:
    case = data.draw(lookups(dtype))
    properties.same(table_gradient(*case), by_definition(*case), TOLERANCE[dtype])


@each_precision
@given(data=st.data())
def test_the_norm_is_that_of_the_gradient(dtype: torch.dtype, data: st.DataObject) -> None:
    case = data.draw(lookups(dtype))
    properties.same(table_squared_norm(*case), by_definition(*case).square().sum(dim=(1, 2)), TOLERANCE[dtype])


@given(case=lookups(), seed=st.integers(0, 999))
def test_the_order_of_the_lookups_does_not_matter(case: Case, seed: int) -> None:
    samples, rows, *each = case
    order = torch.randperm(len(each[0]), generator=torch.Generator().manual_seed(seed))
    shuffled = table_squared_norm(samples, rows, *(values[order] for values in each))
    properties.same(shuffled, table_squared_norm(*case), 1e-10)


@given(case=lookups())
def test_rows_that_nobody_looks_up_add_nothing(case: Case) -> None:
    samples, rows, sample, row, delta = case
    properties.same(table_squared_norm(samples, 1000 * rows, sample, row, delta), table_squared_norm(*case), 1e-12)


def test_a_row_that_is_looked_up_twice_counts_as_one_sum() -> None:
    sample, row = torch.tensor([0, 0, 1]), torch.tensor([2, 2, 2])
    delta = torch.tensor([[3.0], [4.0], [5.0]])
    assert table_squared_norm(3, 3, sample, row, delta).tolist() == [49.0, 25.0, 0.0]
