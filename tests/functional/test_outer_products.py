"""Sums of outer products over positions, and their norms, against the definition in plain loops."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gwa_attrib.functional import chunking, outer_products
from gwa_attrib.functional.outer_products import gram_is_less_work, outer_gradient, outer_squared_norm
from tests import properties
from tests.functional.cases import TOLERANCE


def by_definition(x: Tensor, delta: Tensor) -> Tensor:
    """``Σ_t δ_t x_tᵀ``, entry by entry."""
    result = torch.zeros(len(x), delta.shape[2], x.shape[2], dtype=torch.float64)
    for sample in range(len(x)):
        for position in range(x.shape[1]):
            result[sample] += torch.outer(delta[sample, position].double(), x[sample, position].double())
    return result


@st.composite
def sequences(draw: st.DrawFn, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    n, positions = draw(st.integers(0, 5)), draw(st.integers(0, 7))
    features, outputs = draw(st.integers(1, 8)), draw(st.integers(1, 8))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))
    scale = draw(st.sampled_from([1e-3, 1.0, 1e3]))
    x = torch.randn(n, positions, features, generator=generator) * scale
    return x.to(dtype), torch.randn(n, positions, outputs, generator=generator).to(dtype)


each_precision = pytest.mark.parametrize("dtype", [torch.float64, torch.float32])


def close(found: Tensor, expected: Tensor, dtype: torch.dtype) -> None:
    """Relative to the largest entry."""
    assert found.shape == expected.shape
    size = float(expected.abs().max()) if expected.numel() else 1.0
    properties.same(found.double() / (size or 1.0), expected.double() / (size or 1.0), TOLERANCE[dtype])


@each_precision
@given(data=st.data())
def test_the_gradient_is_the_sum_of_the_outer_products(dtype: torch.dtype, data: st.DataObject) -> None:
    x, delta = data.draw(sequences(dtype))
    close(outer_gradient(x, delta), by_definition(x, delta), dtype)


@each_precision
@pytest.mark.parametrize("gram", [True, False, None])
@given(data=st.data())
def test_the_norm_is_that_of_the_gradient_in_either_way(
    dtype: torch.dtype, gram: bool | None, data: st.DataObject
) -> None:
    x, delta = data.draw(sequences(dtype))
    with pytest.MonkeyPatch.context() as patch:
        if gram is not None:
            patch.setattr(outer_products, "gram_is_less_work", lambda *sizes: gram)
        found = outer_squared_norm(x, delta)
    close(found, by_definition(x, delta).square().sum(dim=(1, 2)), dtype)


@given(case=sequences(), elements=st.integers(1, 60))
def test_working_in_small_chunks_changes_nothing(case: tuple[Tensor, Tensor], elements: int) -> None:
    expected = outer_squared_norm(*case)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunking, "CACHE_ELEMENTS", elements)
        close(outer_squared_norm(*case), expected, torch.float64)


@given(case=sequences(), seed=st.integers(0, 999))
def test_the_order_of_the_positions_does_not_matter(case: tuple[Tensor, Tensor], seed: int) -> None:
    x, delta = case
    order = torch.randperm(x.shape[1], generator=torch.Generator().manual_seed(seed))
    close(outer_squared_norm(x[:, order], delta[:, order]), outer_squared_norm(x, delta), torch.float64)


@given(case=sequences(), cut=st.integers(0, 5))
def test_a_sample_does_not_depend_on_its_batch(case: tuple[Tensor, Tensor], cut: int) -> None:
    properties.batch_split_invariant(outer_squared_norm, *case, cut=min(cut, len(case[0])), tolerance=1e-6)


@given(case=sequences())
def test_exchanging_input_and_delta_transposes_the_gradient(case: tuple[Tensor, Tensor]) -> None:
    x, delta = case
    close(outer_gradient(delta, x).transpose(1, 2), outer_gradient(x, delta), torch.float64)
    close(outer_squared_norm(delta, x), outer_squared_norm(x, delta), torch.float64)


def test_a_norm_that_cancels_is_never_negative() -> None:
    """Two positions that undo each other: the Gram form leaves rounding of either sign."""
    x = torch.randn(2000, 1, 8).repeat(1, 2, 1)
    delta = torch.randn(2000, 1, 8)
    delta = torch.cat([delta, -delta * (1 + 1e-7)], dim=1)
    assert gram_is_less_work(2, 8, 8)
    assert (outer_squared_norm(x, delta) >= 0).all()


def test_few_positions_take_the_gram_form_and_many_do_not() -> None:
    assert gram_is_less_work(2, 500, 500)
    assert not gram_is_less_work(2000, 20, 20)
