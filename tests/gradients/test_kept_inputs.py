"""Tensors kept for the backward pass: what hooks on saved tensors see of them, and what is done to them in between."""

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from gwa_attrib.gradients.use import Kept, packs
from tests.gradients.oracle import Readout, assert_exact


def test_what_was_kept_comes_back_without_its_graph() -> None:
    x, y = torch.randn(3, requires_grad=True) * 2, torch.randn(2)
    kept = Kept(x, y).read()
    assert kept is not None
    assert [a.equal(b) and not a.requires_grad for a, b in zip(kept, (x, y), strict=True)] == [True, True]
    assert kept[0].data_ptr() == x.data_ptr()


@pytest.mark.parametrize("hooked", [False, True])
def test_a_tensor_overwritten_meanwhile_is_noticed(hooked: bool) -> None:
    x, y = torch.randn(3), torch.randn(3)
    if hooked:
        with saved_tensors_hooks(lambda t: t, lambda t: t):
            kept = Kept(x, y)
    else:
        kept = Kept(x, y)
        y.mul_(2)
    assert (kept.read() is None) == (not hooked)  # hooks that keep the tensor itself answer for it themselves


def test_hooks_on_saved_tensors_pack_and_unpack_each_once() -> None:
    packed: list[Tensor] = []
    unpacked: list[int] = []

    def pack(tensor: Tensor) -> int:
        packed.append(tensor.clone())
        return len(packed) - 1

    def unpack(number: int) -> Tensor:
        unpacked.append(number)
        return packed[number]

    x, y = torch.randn(3), torch.randn(2)
    assert not packs()
    with saved_tensors_hooks(pack, unpack):
        assert packs()
        kept = Kept(x, y)
    x.zero_()
    found = kept.read()
    assert found is not None
    assert all(a.equal(b) for a, b in zip(found, packed, strict=True))
    assert unpacked == [0, 1]


@pytest.mark.parametrize("needs_input_gradient", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(6,), (2, 6)])
def test_products_are_the_same_from_outputs_and_from_input_gradients(
    shape: tuple[int, ...], bias: bool, needs_input_gradient: bool
) -> None:
    """A linear layer over data has no gradient of its input; one over another layer's output has."""
    x = torch.randn(5, *shape).requires_grad_(needs_input_gradient)
    assert_exact(Readout(nn.Linear(6, 64, bias=bias), x), x)


@pytest.mark.parametrize("offset", [0.0, 30.0])
@pytest.mark.parametrize("channels", [4, 8])
def test_group_norms_of_inputs_far_from_zero(offset: float, channels: int) -> None:
    """Σ δ·(x - mean) is formed as a difference, as autograd forms it."""
    x = torch.randn(4, channels, 5, 5) + offset
    assert_exact(Readout(nn.GroupNorm(2, channels), x), x, tolerance=1e-5 + 1e-6 * offset)
