"""Attention and encoders of torch.nn, with samples first and with the time first."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.gradients.oracle import Body, Readout, assert_exact, assert_same, columns, in_one_graph, measure, targets_of

Forward = Callable[..., Tensor]


def within(first: bool, use: Forward) -> Forward:
    """The use as it is on ``[sample, time, feature]``, or with a transposition before and after it."""

    def forward(self: Body, *arguments: Tensor) -> Tensor:
        if first:
            return use(self, *arguments)
        return use(self, *(x.transpose(0, 1) for x in arguments)).transpose(0, 1)

    return forward


def itself(**options: Any) -> Forward:
    return lambda self, x: self.attention(x, x, x, **options)[0]


@pytest.mark.parametrize("samples_first", [True, False])
@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("positions", [3, 5])
def test_self_attention_is_exact(samples_first: bool, need_weights: bool, bias: bool, positions: int) -> None:
    x = torch.randn(5, positions, 6)
    attention = nn.MultiheadAttention(6, 2, bias=bias, batch_first=samples_first)
    body = Body(within(samples_first, itself(need_weights=need_weights)), attention=attention)
    assert_exact(Readout(body, x), x)


@pytest.mark.parametrize("samples_first", [True, False])
@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("sizes", [{}, {"kdim": 4}, {"kdim": 4, "vdim": 3}])
def test_cross_attention_is_exact(samples_first: bool, need_weights: bool, sizes: dict[str, int]) -> None:
    def cross(self: Body, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return self.attention(q, k, v, need_weights=need_weights)[0]

    x = (torch.randn(5, 2, 6), torch.randn(5, 3, sizes.get("kdim", 6)), torch.randn(5, 3, sizes.get("vdim", 6)))
    attention = nn.MultiheadAttention(6, 2, batch_first=samples_first, **sizes)
    assert_exact(Readout(Body(within(samples_first, cross), attention=attention), *x), *x)


@pytest.mark.parametrize("samples_first", [True, False])
def test_one_input_as_key_and_value_is_exact(samples_first: bool) -> None:
    def cross(self: Body, q: Tensor, k: Tensor) -> Tensor:
        return self.attention(q, k, k, need_weights=False)[0]

    x = (torch.randn(5, 2, 6), torch.randn(5, 3, 6))
    attention = nn.MultiheadAttention(6, 2, batch_first=samples_first)
    assert_exact(Readout(Body(within(samples_first, cross), attention=attention), *x), *x)


@pytest.mark.parametrize("extra", ["add_bias_kv", "add_zero_attn"])
@pytest.mark.parametrize("samples_first", [True, False])
def test_an_extra_key_and_value_are_exact(extra: str, samples_first: bool) -> None:
    x = torch.randn(5, 3, 6)
    attention = nn.MultiheadAttention(6, 2, batch_first=samples_first, **{extra: True})
    assert_exact(Readout(Body(within(samples_first, itself()), attention=attention), x), x)


@pytest.mark.parametrize("samples_first", [True, False])
def test_masks_are_exact(samples_first: bool) -> None:
    causal = nn.Transformer.generate_square_subsequent_mask(4)
    x = torch.randn(5, 4, 6)
    attention = nn.MultiheadAttention(6, 2, batch_first=samples_first)

    def forward(self: Body, x: Tensor) -> Tensor:
        return self.attention(x, x, x, attn_mask=causal.to(x), is_causal=True, need_weights=False)[0]

    assert_exact(Readout(Body(within(samples_first, forward), attention=attention), x), x)


@pytest.mark.parametrize("frozen", ["in_proj_weight", "in_proj_bias", "out_proj.weight"])
def test_a_frozen_part_is_left_out(frozen: str) -> None:
    x = torch.randn(5, 3, 6)
    attention = nn.MultiheadAttention(6, 2, batch_first=True)
    model = Readout(Body(itself(), attention=attention), x)
    attention.get_parameter(frozen).requires_grad_(False)
    assert_exact(model, x)


@pytest.mark.parametrize("samples", [1, 2])
def test_a_batch_of_one_and_a_sequence_of_one_are_exact(samples: int) -> None:
    for positions in (1, 4):
        x = torch.randn(samples, positions, 6)
        attention = nn.MultiheadAttention(6, 2, batch_first=True)
        assert_exact(Readout(Body(itself(), attention=attention), x), x)


def encoder(samples_first: bool, **options: Any) -> nn.TransformerEncoderLayer:
    return nn.TransformerEncoderLayer(6, 2, 8, **{"dropout": 0.0, "batch_first": samples_first, **options})


def through(self: Body, x: Tensor) -> Tensor:
    return self.encoder(x)


@pytest.mark.parametrize("samples_first", [True, False])
@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("positions", [3, 5])
def test_an_encoder_layer_is_exact(samples_first: bool, norm_first: bool, bias: bool, positions: int) -> None:
    """Five positions and five samples: only the layer's own option says which are which."""
    x = torch.randn(5, positions, 6)
    layer = encoder(samples_first, norm_first=norm_first, bias=bias)
    assert_exact(Readout(Body(within(samples_first, through), encoder=layer), x), x)


@pytest.mark.parametrize("samples_first", [True, False])
@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True")
def test_a_stack_of_encoder_layers_is_exact(samples_first: bool) -> None:
    x = torch.randn(5, 4, 6)
    layers = nn.TransformerEncoder(encoder(samples_first), 2, norm=nn.LayerNorm(6), enable_nested_tensor=False)
    assert_exact(Readout(Body(within(samples_first, through), encoder=layers), x), x)


@pytest.mark.parametrize("samples_first", [True, False])
def test_a_decoder_layer_is_exact(samples_first: bool) -> None:
    x = (torch.randn(5, 3, 6), torch.randn(5, 4, 6))
    layer = nn.TransformerDecoderLayer(6, 2, 8, dropout=0.0, batch_first=samples_first)
    body = Body(within(samples_first, lambda self, x, memory: self.decoder(x, memory)), decoder=layer)
    assert_exact(Readout(body, *x), *x)


def test_time_major_inputs_are_exact() -> None:
    def forward(self: Body, x: Tensor) -> Tensor:
        return self.encoder(self.into(x)).mean(dim=0)

    x = torch.randn(4, 5, 3)
    model = nn.Sequential(Body(forward, into=nn.Linear(3, 6), encoder=encoder(False)), nn.Linear(6, 3))
    assert_exact(model, x, targets=targets_of(5), pick=columns)


def test_a_block_that_transposes_only_around_its_attention_is_exact() -> None:
    """The attention has the time first, the layers beside it have not."""

    def forward(self: Body, x: Tensor) -> Tensor:
        y = self.norm(x).transpose(0, 1)
        x = x + self.attention(y, y, y, need_weights=False)[0].transpose(0, 1)
        return x + self.wide(x)

    layers = {"norm": nn.LayerNorm(6), "attention": nn.MultiheadAttention(6, 2), "wide": nn.Linear(6, 6)}
    for positions in (3, 5):
        x = torch.randn(5, positions, 6)
        assert_exact(Readout(Body(forward, **layers), x), x, settled=(torch.randn(6, positions, 6),))


@pytest.mark.parametrize("samples_first", [True, False])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_dropout_is_measured_as_it_was_drawn(samples_first: bool, reduction: str) -> None:
    x = torch.randn(5, 4, 6)
    layer = encoder(samples_first, dropout=0.3)
    model = Readout(Body(within(samples_first, through), encoder=layer), x)
    torch.manual_seed(7)
    expected = in_one_graph(model, (x,), targets_of(5))
    torch.manual_seed(7)
    assert_same(measure(model, (x,), reduction=reduction), expected, model, 2e-5)


def test_the_drawn_dropout_is_not_the_same_for_another_seed() -> None:
    """That the test above compares what it means to."""
    x = torch.randn(5, 4, 6)
    model = Readout(Body(through, encoder=encoder(True, dropout=0.3)), x)
    torch.manual_seed(7)
    expected = in_one_graph(model, (x,), targets_of(5))
    torch.manual_seed(8)
    with pytest.raises(AssertionError, match="off by"):
        assert_same(measure(model, (x,)), expected, model)
