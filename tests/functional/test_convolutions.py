"""Per-sample gradients of kernels and their norms, against autograd on one sample at a time."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from gwa_attrib.functional import chunking
from gwa_attrib.functional.convolutions import (
    Geometry,
    depthwise_gradient,
    gram_is_less_work,
    kernel_gradient,
    kernel_squared_norm,
    pad,
    unfolded_gradient,
    windows,
)
from tests import properties
from tests.functional.cases import TOLERANCE

PLAIN = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
Case = tuple[Tensor, Tensor, Geometry, Tensor]


def alone(module: nn.Module, x: Tensor, delta: Tensor) -> Tensor:
    """Gradients of the kernel for ``[sample, image, ...]``, each sample by autograd."""
    gradients = [torch.autograd.grad(module(images), module.weight, d)[0] for images, d in zip(x, delta, strict=True)]
    return torch.stack(gradients)


@st.composite
def cases(draw: st.DrawFn, *, transposed: bool = False, groups: int | None = None, images: int | None = None) -> Case:
    """Input and delta ``[sample, image, channel, *space]``, the geometry, and the gradients by autograd."""
    torch.manual_seed(draw(st.integers(0, 999)))
    dims = draw(st.integers(1, 3))
    each = st.tuples(*[st.integers(1, 3)] * dims)
    small = st.tuples(*[st.integers(1, 2)] * dims)
    kernel, dilation, stride = draw(each), draw(small), draw(small)
    padding = tuple(draw(st.integers(0, 1)) for _ in range(dims))
    groups = draw(st.sampled_from([1, 2, 4])) if groups is None else groups
    output_padding = tuple(draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True))
    sides = [max(1, d * (k - 1) + 1) + draw(st.integers(0, 4)) for k, d in zip(kernel, dilation, strict=True)]
    options: dict[str, Any] = {"stride": stride, "dilation": dilation, "groups": groups, "bias": False}
    options |= {"padding": padding, **({"output_padding": output_padding} if transposed else {})}
    sides = [side + 2 for side in sides] if transposed else sides
    channels, outputs = 4, 4 if groups == 4 else 4 * draw(st.integers(1, 2))
    module = (TRANSPOSED if transposed else PLAIN)[dims - 1](channels, outputs, kernel, **options).double()
    shape = (draw(st.integers(1, 4)), draw(st.integers(1, 3)) if images is None else images)
    x = torch.randn(*shape, channels, *sides, dtype=torch.float64)
    delta = torch.randn_like(module(x.flatten(0, 1)).unflatten(0, shape))
    geometry = Geometry(kernel, stride, dilation, groups, padding, transposed, output_padding if transposed else ())
    return x, delta, geometry, alone(module, x, delta)


def padded(x: Tensor, geometry: Geometry) -> tuple[Tensor, Geometry]:
    """One image a sample, padded with zeros."""
    amounts = tuple(amount for side in reversed(geometry.padding) for amount in (side, side))
    return pad(x.squeeze(1), amounts, "zeros"), geometry._replace(padding=())


@settings(max_examples=60)
@given(case=cases())
def test_the_kernel_gradient_is_that_of_each_sample(case: Case) -> None:
    x, delta, geometry, expected = case
    properties.same(kernel_gradient(x, delta, geometry), expected, 1e-10)


@settings(max_examples=60)
@given(case=cases(transposed=True))
def test_the_kernel_gradient_of_a_transposed_convolution_is_that_of_each_sample(case: Case) -> None:
    x, delta, geometry, expected = case
    properties.same(kernel_gradient(x, delta, geometry), expected, 1e-10)


@settings(max_examples=60)
@given(case=cases(groups=4))
def test_the_depthwise_gradient_is_that_of_each_sample(case: Case) -> None:
    x, delta, geometry, expected = case
    properties.same(depthwise_gradient(x, delta, geometry), expected, 1e-10)


@settings(max_examples=60)
@given(case=cases(groups=1, images=1))
def test_the_unfolded_gradient_is_that_of_each_sample(case: Case) -> None:
    x, delta, geometry, expected = case
    images, without = padded(x, geometry)
    properties.same(unfolded_gradient(images, delta.squeeze(1), without), expected, 1e-10)


@settings(max_examples=60)
@given(case=cases(groups=1, images=1), elements=st.sampled_from([1, 600_000]))
def test_the_norm_from_gram_matrices_is_that_of_the_gradient(case: Case, elements: int) -> None:
    x, delta, geometry, expected = case
    images, without = padded(x, geometry)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunking, "CACHE_ELEMENTS", elements)
        found = kernel_squared_norm(images, delta.squeeze(1), without)
    properties.same(found, expected.flatten(1).square().sum(dim=1), 1e-9)


@given(case=cases(groups=1, images=1))
def test_in_single_precision_every_form_is_as_exact_as_that(case: Case) -> None:
    x, delta, geometry, expected = case
    images, without = padded(x.float(), geometry)
    size = expected.flatten(1).norm(dim=1).clamp_min(1e-6)
    for found in (
        kernel_gradient(x.float(), delta.float(), geometry),
        unfolded_gradient(images, delta.squeeze(1).float(), without),
    ):
        gap = (found.double() - expected).flatten(1).norm(dim=1)
        assert (gap / size).max() <= TOLERANCE[torch.float32]
    found = kernel_squared_norm(images, delta.squeeze(1).float(), without).double()
    properties.same(found / size.square(), (expected.flatten(1).norm(dim=1) / size).square(), 2e-5)


@given(case=cases(images=1), cut=st.integers(0, 4))
def test_a_sample_does_not_depend_on_its_batch(case: Case, cut: int) -> None:
    x, delta, geometry, _ = case

    def gradient(x: Tensor, delta: Tensor) -> Tensor:
        return kernel_gradient(x, delta, geometry)

    properties.batch_split_invariant(gradient, x, delta, cut=min(cut, len(x)), tolerance=1e-10)


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_padding_is_that_of_the_convolution(mode: str, dims: int) -> None:
    """A kernel of one tap at the corner shows what the convolution sees there."""
    x = torch.randn(2, 1, *(4, 5, 6)[:dims], dtype=torch.float64)
    module = PLAIN[dims - 1](1, 1, 3, padding=1, padding_mode=mode, bias=False).double()
    with torch.no_grad():
        module.weight.zero_().view(-1)[0] = 1.0
    seen = module(x)
    around = pad(x, tuple(module._reversed_padding_repeated_twice), mode)
    assert torch.equal(around[(..., *(slice(0, side) for side in seen.shape[2:]))], seen)


def test_without_padding_the_input_itself_is_given_back() -> None:
    x = torch.randn(2, 3, 4)
    assert pad(x, (0, 0), "reflect") is x


@given(case=cases(groups=1, images=1))
def test_the_windows_are_what_each_tap_of_the_kernel_meets(case: Case) -> None:
    x, delta, geometry, expected = case
    images, without = padded(x, geometry)
    taps = windows(without, delta.shape[3:])
    assert len(taps) == expected[0, 0, 0].numel()
    for tap, window in enumerate(taps):
        met = images[(..., *window)]
        assert met.shape[2:] == delta.shape[3:]
        by_tap = torch.einsum("ncp,nop->noc", met.flatten(2), delta.squeeze(1).flatten(2))
        properties.same(by_tap, expected.flatten(3)[..., tap], 1e-9)


def test_the_gram_form_is_for_few_positions_and_never_for_groups_or_transposed() -> None:
    square = Geometry((3, 3), (1, 1), (1, 1))
    assert gram_is_less_work(256, 256, 36, 16, square)
    assert not gram_is_less_work(8, 8, 32 * 32, 32 * 32, square)
    assert not gram_is_less_work(256, 256, 36, 16, square._replace(groups=2))
    assert not gram_is_less_work(256, 256, 36, 16, square._replace(transposed=True))


def test_nothing_in_gives_zero_gradients_of_the_right_shape() -> None:
    geometry = Geometry((3,), (1,), (1,))
    assert kernel_gradient(torch.zeros(0, 1, 4, 5), torch.zeros(0, 1, 6, 3), geometry).shape == (0, 6, 4, 3)
    found = kernel_gradient(torch.zeros(2, 0, 4, 5), torch.zeros(2, 0, 6, 3), geometry)
    assert found.shape == (2, 6, 4, 3)
    assert not found.any()
