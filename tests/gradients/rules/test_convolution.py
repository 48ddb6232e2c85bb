"""Convolutions of every geometry, in the forms that their norms can take."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from gwa_attrib.gradients.rules.convolution import FEW_CHANNELS, prefers_gram
from gwa_attrib.gradients.swap import can_swap
from tests.gradients.oracle import Body, Readout, assert_exact, assert_same, measure, step, watched_step

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
KINDS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
MODES = ("zeros", "reflect", "replicate", "circular")


def after_a_pointwise_one(convolution: nn.Module, channels: int) -> nn.Module:
    """So that the input of the convolution has a gradient as well."""
    dims = len(convolution.kernel_size)
    return nn.Sequential(KINDS[dims - 1](2, channels, 1), nn.GELU(), convolution)


def image(samples: int, channels: int, *sides: int) -> Tensor:
    return torch.randn(samples, channels, *sides)


@st.composite
def geometries(draw: st.DrawFn, *, transposed: bool = False) -> tuple[int, dict[str, Any], tuple[int, ...]]:
    """Number of dimensions, options of a convolution, and an image that is large enough for it."""
    dims = draw(st.integers(1, 3))
    each = st.tuples(*[st.integers(1, 3 if dims < 3 else 2)] * dims)
    small = st.tuples(*[st.integers(1, 2)] * dims)
    kernel, dilation = draw(each, label="kernel"), draw(small, label="dilation")
    groups = draw(st.sampled_from([1, 2, 4]))
    options: dict[str, Any] = {"kernel_size": kernel, "dilation": dilation, "groups": groups}
    options |= {"bias": draw(st.booleans()), "out_channels": 4 * draw(st.integers(1, 2))}
    sides = tuple(
        d * (k - 1) + draw(st.integers(2, 3 if dims == 3 else 6)) for k, d in zip(kernel, dilation, strict=True)
    )
    same = not transposed and draw(st.booleans(), label="same")
    options["stride"] = (1,) * dims if same else draw(small, label="stride")
    options["padding"] = "same" if same else tuple(draw(st.integers(0, min(1, k - 1))) for k in kernel)
    if transposed:
        room = [max(s, d) - 1 for s, d in zip(options["stride"], dilation, strict=True)]
        options["output_padding"] = tuple(draw(st.integers(0, r)) for r in room)
    else:
        options["padding_mode"] = draw(st.sampled_from(MODES))
    return dims, options, sides


@settings(max_examples=80)
@given(case=geometries(), samples=st.integers(1, 4), seed=st.integers(0, 999))
def test_every_geometry_is_exact(case: tuple[int, dict[str, Any], tuple[int, ...]], samples: int, seed: int) -> None:
    dims, options, sides = case
    torch.manual_seed(seed)
    x = image(samples, 2, *sides)
    body = after_a_pointwise_one(KINDS[dims - 1](4, **options), 4)
    assert_exact(Readout(body, x), x)


@settings(max_examples=40)
@given(case=geometries(transposed=True), samples=st.integers(1, 4), seed=st.integers(0, 999))
def test_every_transposed_geometry_is_exact(
    case: tuple[int, dict[str, Any], tuple[int, ...]], samples: int, seed: int
) -> None:
    dims, options, sides = case
    torch.manual_seed(seed)
    x = image(samples, 2, *sides)
    body = after_a_pointwise_one(TRANSPOSED[dims - 1](4, **options), 4)
    assert_exact(Readout(body, x), x)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kernel", [2, 3, 4, (2, 5)])
@pytest.mark.parametrize("dilation", [1, 2])
def test_padding_to_the_same_size_is_exact_for_even_kernels_too(mode: str, kernel: Any, dilation: int) -> None:
    x = image(3, 2, 9, 10)
    convolution = nn.Conv2d(4, 4, kernel, padding="same", dilation=dilation, padding_mode=mode)
    assert_exact(Readout(after_a_pointwise_one(convolution, 4), x), x)


def test_padding_called_valid_is_exact() -> None:
    x = image(3, 2, 6, 6)
    assert_exact(Readout(after_a_pointwise_one(nn.Conv2d(4, 4, 3, padding="valid", stride=2), 4), x), x)


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("multiplier", [1, 2, 3])
@pytest.mark.parametrize("options", [{}, {"padding": 1}, {"stride": 2}, {"dilation": 2, "padding": 2}, {"stride": 3}])
def test_depthwise_is_exact_with_and_without_channel_multiplier(
    dims: int, multiplier: int, options: dict[str, int]
) -> None:
    x = image(3, 2, *(9, 8, 7)[:dims])
    convolution = KINDS[dims - 1](6, 6 * multiplier, 3, groups=6, **options)
    assert_exact(Readout(after_a_pointwise_one(convolution, 6), x), x)


@pytest.mark.parametrize("mode", MODES)
def test_a_large_depthwise_kernel_is_exact_in_every_padding_mode(mode: str) -> None:
    x = image(3, 2, 8, 8)
    convolution = nn.Conv2d(6, 6, 7, padding=3, groups=6, padding_mode=mode)
    assert_exact(Readout(after_a_pointwise_one(convolution, 6), x), x)


FORMS = {
    "Gram": (8, 4, 1, True),
    "Gram at one position": (8, 3, 1, True),
    "grouped": (8, 14, 1, False),
    "grouped with groups": (8, 6, 2, False),
    "unfolded": (FEW_CHANNELS, 14, 1, False),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("options", [{}, {"stride": 2}, {"padding": 1}, {"padding": 1, "padding_mode": "reflect"}])
def test_every_form_of_the_norm_is_exact(form: str, bias: bool, options: dict[str, Any]) -> None:
    channels, side, groups, gram = FORMS[form]
    x = image(5, channels, side, side)
    convolution = nn.Conv2d(channels, 16, 3, groups=groups, bias=bias, **options)
    if not options.get("padding"):
        assert prefers_gram(convolution, x, convolution(x), saves=True) == gram
    body = nn.Sequential(nn.GroupNorm(1, channels), convolution)
    assert_exact(Readout(body, x), x)


@pytest.mark.parametrize("gram", [True, False])
@pytest.mark.parametrize("swaps", [True, False])
@pytest.mark.parametrize("channels", [3, 6])
@pytest.mark.parametrize("kernel", [1, 3, (3, 2)])
@pytest.mark.parametrize("options", [{}, {"stride": 2, "padding": 1}, {"dilation": 2, "padding": 2}])
def test_the_form_that_is_chosen_makes_no_difference(
    monkeypatch: pytest.MonkeyPatch, gram: bool, swaps: bool, channels: int, kernel: Any, options: dict[str, int]
) -> None:
    monkeypatch.setattr("gwa_attrib.gradients.rules.convolution.gram_is_less_work", lambda *sizes, **flags: gram)
    x = image(4, 2, 7, 8)
    convolution = nn.Conv2d(channels, 5, kernel, **options)
    assert_exact(Readout(after_a_pointwise_one(convolution, channels), x), x, swaps=swaps)


@pytest.mark.parametrize("frozen", ["weight", "bias"])
@pytest.mark.parametrize("side", [4, 12])
def test_a_frozen_weight_or_bias_is_left_out(frozen: str, side: int) -> None:
    x = image(3, 2, side, side)
    model = Readout(after_a_pointwise_one(nn.Conv2d(8, 8, 3), 8), x)
    getattr(model.body[2], frozen).requires_grad_(False)
    assert_exact(model, x)


@pytest.mark.parametrize("side", [4, 12])
def test_an_activation_may_overwrite_the_output(side: int) -> None:
    x = image(3, 2, side, side)
    body = nn.Sequential(
        nn.Conv2d(2, 8, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(8, 4, 3), nn.SiLU(inplace=True)
    )
    assert_exact(Readout(body, x), x)


@pytest.mark.parametrize("side", [4, 12])
@pytest.mark.parametrize("frames", [1, 3])
def test_frames_folded_into_the_batch_add_up(side: int, frames: int) -> None:
    def forward(self: Body, x: Tensor) -> Tensor:
        features = F.gelu(self.second(F.gelu(self.first(x.flatten(0, 1)))))
        return features.unflatten(0, x.shape[:2]).flatten(2)

    x = image(4, frames, 2, side, side)
    for depthwise in (1, 6):
        second = nn.Conv2d(6, 6, 3, groups=depthwise)
        assert_exact(Readout(Body(forward, first=nn.Conv2d(2, 6, 3, padding=1), second=second), x), x)


def test_a_batch_in_channels_last_memory_is_exact() -> None:
    x = image(4, 3, 12, 12).to(memory_format=torch.channels_last)
    body = nn.Sequential(nn.Conv2d(3, 8, 3), nn.GELU(), nn.Conv2d(8, 8, 3, stride=2)).to(
        memory_format=torch.channels_last
    )
    assert_exact(Readout(body, x), x)


@pytest.mark.parametrize("size", [(11, 11), (12, 11), (12, 12)])
def test_a_transposed_convolution_with_a_given_output_size_is_exact(size: tuple[int, int]) -> None:
    x = image(3, 2, 6, 6)
    body = Body(lambda self, x: self.up(x, output_size=size), up=nn.ConvTranspose2d(2, 4, 3, stride=2, padding=1))
    assert_exact(Readout(body, x), x)


@pytest.mark.parametrize("swaps", [True, False])
@pytest.mark.parametrize("side", [2, 12])
def test_one_map_for_the_whole_batch_is_exact(side: int, swaps: bool) -> None:
    """A positional map, convolved once and added to every sample."""

    def forward(self: Body, x: Tensor) -> Tensor:
        return self.image(x) + self.place(grid.to(x))

    x, grid = image(4, 2, side, side), image(1, 6, side, side)
    body = Body(forward, image=nn.Conv2d(2, 6, 1), place=nn.Conv2d(6, 6, 3, padding=1))
    assert_exact(Readout(body, x), x, swaps=swaps)


SWAPPED = {
    "plain": (lambda: nn.Conv2d(8, 8, 3), (4, 8, 14, 14)),
    "without bias": (lambda: nn.Conv2d(8, 8, 3, bias=False), (4, 8, 14, 14)),
    "strided": (lambda: nn.Conv2d(8, 8, (3, 2), stride=2, padding=1), (4, 8, 20, 20)),
    "few channels": (lambda: nn.Conv2d(3, 8, 3, padding=1), (4, 3, 14, 14)),
    "grouped": (lambda: nn.Conv2d(8, 8, 3, groups=2), (4, 8, 9, 9)),
    "depthwise": (lambda: nn.Conv2d(8, 8, 5, groups=8, padding=2), (4, 8, 9, 9)),
    "multiplied": (lambda: nn.Conv2d(4, 8, 3, groups=4, dilation=2), (4, 4, 9, 9)),
    "sequence": (lambda: nn.Conv1d(4, 6, 3, dilation=2), (33, 4, 60)),
    "volume": (lambda: nn.Conv3d(4, 6, 2), (4, 4, 6, 6, 6)),
}


@pytest.mark.parametrize("kind", SWAPPED)
@pytest.mark.parametrize("frozen", [None, "weight", "bias", "input"])
def test_a_swapped_convolution_has_the_gradients_that_autograd_gives(kind: str, frozen: str | None) -> None:
    make, shape = SWAPPED[kind]
    layer, x = make(), torch.randn(*shape)
    before = nn.Identity() if frozen == "input" else type(layer)(layer.in_channels, layer.in_channels, 1)
    if frozen in ("weight", "bias") and getattr(layer, frozen) is not None:
        getattr(layer, frozen).requires_grad_(False)
    assert can_swap(layer, x, layer(x)) == layer.weight.requires_grad
    model = Readout(nn.Sequential(before, layer), x)
    (out, gradients), (watched, of_watched) = step(model, x), watched_step(model, x, swaps=True)
    assert torch.equal(out, watched)
    assert gradients.keys() == of_watched.keys()
    for name, gradient in gradients.items():
        assert float((of_watched[name] - gradient).norm()) <= 1e-5 * float(gradient.norm()), name
    on, off = measure(model, (x,)), measure(model, (x,), swaps=False)
    assert_same(on, off, model)
