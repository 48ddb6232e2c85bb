"""The dropout of the detector's network, by the law of dropout and beside torch's."""

import math

import pytest
import torch

from gwa_attrib.sklearn.linear_head import Dropout

shares = pytest.mark.parametrize("share", [0.0, 0.2, 0.5])


@shares
def test_what_is_kept_is_scaled_so_that_the_mean_stays(share: float) -> None:
    x = torch.ones(1000, 300)
    dropped = Dropout(share, seed=0)(x)
    kept = dropped != 0
    assert torch.unique(dropped[kept]).numel() == 1
    deviation = math.sqrt(share * (1 - share) / x.numel())
    assert abs((~kept).float().mean().item() - share) <= 5 * deviation + 1 / 512  # a share is a multiple of 1/256
    assert dropped.mean().item() == pytest.approx(1.0, abs=5 * deviation / (1 - share) + 1e-6)


@shares
def test_gradients_pass_where_numbers_did(share: float) -> None:
    x = torch.randn(64, 33, dtype=torch.float64, requires_grad=True)
    dropped = Dropout(share, seed=3)(x)
    dropped.sum().backward()
    torch.testing.assert_close(x.grad * x, dropped)


def test_numbers_are_dropped_independently() -> None:
    """Of neighbours in a row and in a column, as often both as chance has it."""
    kept = Dropout(0.5, seed=1)(torch.ones(2000, 400)) != 0
    for one, other in ((kept[:, :-1], kept[:, 1:]), (kept[:-1], kept[1:]), (kept[:, :-8], kept[:, 8:])):
        assert (one & other).float().mean().item() == pytest.approx(0.25, abs=0.003)


def test_a_seed_gives_the_same_numbers_and_each_call_others() -> None:
    one, other, x = Dropout(0.5, seed=4), Dropout(0.5, seed=4), torch.ones(50, 7)
    first = one(x)
    assert torch.equal(first, other(x))
    assert not torch.equal(first, one(x))
    assert not torch.equal(first, Dropout(0.5, seed=5)(x))


def test_torch_drops_as_many() -> None:
    torch.manual_seed(0)
    x = torch.randn(500, 200)
    ours, theirs = Dropout(0.2, seed=0)(x), torch.nn.functional.dropout(x, 0.2)
    assert (ours == 0).float().mean().item() == pytest.approx((theirs == 0).float().mean().item(), abs=0.01)
    assert ours.std().item() == pytest.approx(theirs.std().item(), rel=0.01)
