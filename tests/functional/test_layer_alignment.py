"""Alignment, product and norm of groups of parameters from their parts, against the definition."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gwa_attrib.functional.layer_alignment import group_gradient, sample_scales
from tests import properties


def gradients(seed: int, samples: int, sizes: list[int]) -> tuple[list[Tensor], list[Tensor]]:
    """Weights and per-sample gradients of some groups."""
    generator = torch.Generator().manual_seed(seed)
    weights = [torch.randn(size, generator=generator, dtype=torch.float64) for size in sizes]
    return weights, [torch.randn(samples, size, generator=generator, dtype=torch.float64) for size in sizes]


def parts(weights: list[Tensor], each: list[Tensor], scale: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What `group_gradient` takes, of gradients that carry `scale`."""
    product = torch.stack([(g * scale) @ w for w, g in zip(weights, each, strict=True)], dim=1)
    square = torch.stack([(g * scale).square().sum(dim=1) for g in each], dim=1)
    return product, square, torch.stack([w.square().sum() for w in weights]), product.new_full((len(product),), scale)


cases = given(
    seed=st.integers(0, 999),
    samples=st.integers(1, 4),
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    scale=st.floats(1e-4, 1e4),
)


@cases
def test_equals_the_definition(seed: int, samples: int, sizes: list[int], scale: float) -> None:
    weights, each = gradients(seed, samples, sizes)
    found = group_gradient(*parts(weights, each, scale))
    for group, (w, g) in enumerate(zip(weights, each, strict=True)):
        for i in range(samples):
            dot = -math.fsum((g[i] * w).tolist())
            norm = math.sqrt(math.fsum(g[i].square().tolist()))
            length = math.sqrt(math.fsum(w.square().tolist()))
            assert float(found.dot[i, group]) == pytest.approx(dot, rel=1e-9, abs=1e-12)
            assert float(found.norm[i, group]) == pytest.approx(norm, rel=1e-9)
            assert float(found.alignment[i, group]) == pytest.approx(dot / norm / length, rel=1e-9, abs=1e-12)


@cases
def test_the_parts_of_a_group_add_up_to_the_group(seed: int, samples: int, sizes: list[int], scale: float) -> None:
    weights, each = gradients(seed, samples, sizes)
    product, square, lengths, factor = parts(weights, each, scale)
    summed = group_gradient(
        product.sum(1, keepdim=True), square.sum(1, keepdim=True), lengths.sum(0, keepdim=True), factor
    )
    whole = group_gradient(*parts([torch.cat(weights)], [torch.cat(each, dim=1)], scale))
    for a, b in zip(summed, whole, strict=True):
        properties.same(a, b, 1e-9)


@cases
def test_the_scale_of_the_loss_leaves_every_number_as_it_is(
    seed: int, samples: int, sizes: list[int], scale: float
) -> None:
    """Also a loss that is turned around for gradient ascent."""
    weights, each = gradients(seed, samples, sizes)
    plain = group_gradient(*parts(weights, each, 1.0))
    for factor in (scale, -scale):
        for a, b in zip(group_gradient(*parts(weights, each, factor)), plain, strict=True):
            properties.same(a, b, 1e-9)


def test_alignment_stays_in_range_where_rounding_would_leave_it() -> None:
    weights = torch.rand(1000, 3)
    found = group_gradient(
        (weights @ weights.T).diagonal().unsqueeze(1) * 1.0001,
        weights.square().sum(dim=1, keepdim=True),
        torch.ones(1),
        torch.ones(1000),
    )
    properties.in_range(found.alignment, -1.0, 1.0)


@pytest.mark.parametrize(
    ("product", "square", "length"),
    [(0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (math.nan, 1.0, 1.0), (1.0, math.inf, 1.0), (math.inf, 1.0, 1.0)],
)
def test_without_direction_the_alignment_is_unknown(product: float, square: float, length: float) -> None:
    found = group_gradient(torch.tensor([[product]]), torch.tensor([[square]]), torch.tensor([length]), torch.ones(1))
    assert found.alignment.isnan().all()


def test_a_square_below_zero_by_rounding_counts_as_zero() -> None:
    found = group_gradient(torch.zeros(1, 1), torch.full((1, 1), -1e-12), torch.ones(1), torch.tensor([0.5]))
    assert found.norm.tolist() == [[0.0]]
    assert found.alignment.isnan().all()


@given(seed=st.integers(0, 999), scale=st.floats(1e-6, 1e6))
def test_the_common_scale_is_found_again(seed: int, scale: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    expected = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    assert sample_scales(expected, expected * scale).tolist() == pytest.approx([scale] * 5, rel=1e-9)


@given(seed=st.integers(0, 999))
def test_samples_that_the_loss_weights_have_scales_of_their_own(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    expected = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    weights = torch.tensor([0.5, 1.0, 2.0, 4.0, 8.0], dtype=torch.float64)
    found = sample_scales(expected, expected * weights.unsqueeze(1))
    assert found.tolist() == pytest.approx(weights.tolist(), rel=1e-4)


def test_a_gradient_of_another_direction_has_no_scale() -> None:
    expected = torch.tensor([[1.0, -1.0], [1e-9, -1e-9], [1.0, -1.0], [0.0, 0.0]])
    found = torch.tensor([[1.0, -1.0], [0.0, -1e-8], [-1.0, 1.0], [0.0, 0.0]])
    assert sample_scales(expected, found).isnan().tolist() == [False, True, True, True]
