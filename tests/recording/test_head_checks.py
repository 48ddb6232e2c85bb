"""The check of the loss: the direction of the gradient that arrives against the one that the closed form computes."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from gwa_attrib.errors import HeadError, LossMismatchError
from gwa_attrib.functional.targets import CrossEntropy
from gwa_attrib.recording.head import HeadBatch
from gwa_attrib.recording.head_checks import direction_deviation, due, measure, verify
from tests import oracles

PLAIN = CrossEntropy()


@given(n=st.integers(1, 5), classes=st.integers(2, 6), seed=st.integers(0, 999))
def test_is_the_largest_distance_of_unit_vectors(n: int, classes: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    a, b = torch.randn(2, n, classes, generator=generator)
    expected = max(oracles.angle_distance(x, y) for x, y in zip(a.tolist(), b.tolist(), strict=True))
    assert float(direction_deviation(a, b)) == pytest.approx(expected, rel=1e-4)


@given(seed=st.integers(0, 999), scale=st.floats(1e-6, 1e6))
def test_the_length_of_a_gradient_does_not_matter(seed: int, scale: float) -> None:
    """Mean or sum over the batch, weights per sample, a loss scaler: all of them only scale."""
    r = torch.randn(4, 5, generator=torch.Generator().manual_seed(seed))
    per_sample = torch.rand(4, 1) + 0.1
    assert direction_deviation(r, r * per_sample * scale) < 1e-5


@pytest.mark.parametrize("odd", [0.0, torch.inf, -torch.inf, torch.nan])
def test_samples_whose_gradient_says_nothing_are_left_out(odd: float) -> None:
    r = torch.randn(3, 4)
    g = r.clone()
    g[1] = odd
    assert direction_deviation(r, g) < 1e-6
    g[2] = -r[2]
    assert float(direction_deviation(r, g)) == pytest.approx(2.0, rel=1e-5)


def test_a_gradient_that_says_nothing_at_all_passes() -> None:
    assert direction_deviation(torch.randn(3, 4), torch.zeros(3, 4)) == 0
    assert direction_deviation(torch.zeros(3, 4), torch.randn(3, 4)) == 0


def test_checked_are_the_first_batch_of_each_epoch_and_the_powers_of_two_of_the_first() -> None:
    assert [step for step in range(40) if due(step, first_epoch=True)] == [0, 1, 2, 4, 8, 16, 32]
    assert [step for step in range(40) if due(step, first_epoch=False)] == [0]


def batch(loss, *, scale: float = 1.0, dtype: torch.dtype = torch.float32) -> tuple[HeadBatch, torch.Tensor]:
    """A batch at a linear head after the backward pass of ``loss(logits, targets)``."""
    torch.manual_seed(0)
    head = torch.nn.Linear(6, 4).to(dtype)
    features, targets = torch.randn(8, 6).to(dtype) * 2, torch.arange(8) % 4
    logits = (head(features) * scale).detach().requires_grad_()
    loss(logits.float(), targets).backward()
    found = HeadBatch("fc", head, features, logits, ())
    found.logits_grad = logits.grad
    return found, targets


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_cross_entropy_passes(dtype: torch.dtype, reduction: str) -> None:
    found, targets = batch(lambda z, y: F.cross_entropy(z, y, reduction=reduction), dtype=dtype)
    verify([measure(found, PLAIN.of(found.logits, targets))], "fc")


OTHER_LOSSES = {
    "smoothed": lambda z, y: F.cross_entropy(z, y, label_smoothing=0.2),
    "temperature": lambda z, y: F.cross_entropy(z / 2, y),
    "multi_margin": F.multi_margin_loss,
    "binary": lambda z, y: F.binary_cross_entropy_with_logits(z, F.one_hot(y, 4).float()),
    "squared": lambda z, y: F.mse_loss(z, F.one_hot(y, 4).float()),
    "penalised": lambda z, y: F.cross_entropy(z, y) + z.square().mean(),
    "shuffled": lambda z, y: F.cross_entropy(z, y.roll(1)),
    "negative": lambda z, y: -F.cross_entropy(z, y),
}


@pytest.mark.parametrize("loss", [pytest.param(loss, id=name) for name, loss in OTHER_LOSSES.items()])
def test_another_loss_is_refused(loss) -> None:
    found, targets = batch(loss)
    with pytest.raises(LossMismatchError, match="label_smoothing") as caught:
        verify([measure(found, PLAIN.of(found.logits, targets))], "fc")
    assert "softmax applied twice" not in caught.value.found


def test_a_softmax_applied_twice_is_named() -> None:
    found, targets = batch(lambda z, y: F.cross_entropy(z.softmax(dim=1), y))
    with pytest.raises(LossMismatchError, match="softmax applied twice"):
        verify([measure(found, PLAIN.of(found.logits, targets))], "fc")


def test_a_layer_that_is_not_linear_is_refused() -> None:
    found, targets = batch(F.cross_entropy, scale=1.01)
    with pytest.raises(HeadError, match="'fc'"):
        verify([measure(found, PLAIN.of(found.logits, targets))], "fc")


def test_the_loss_is_that_of_the_options() -> None:
    weight = torch.tensor([1.0, 2.0, 3.0, 4.0])
    found, targets = batch(lambda z, y: F.cross_entropy(z, y, label_smoothing=0.3, weight=weight))
    verify([measure(found, CrossEntropy(0.3, weight).of(found.logits, targets))], "fc")
    with pytest.raises(LossMismatchError):
        verify([measure(found, CrossEntropy(0.3).of(found.logits, targets))], "fc")


def test_one_bad_batch_among_good_ones_is_found() -> None:
    good, bad = (
        measure(found, PLAIN.of(found.logits, targets))
        for found, targets in (batch(F.cross_entropy), batch(lambda z, y: F.cross_entropy(z, y.roll(1))))
    )
    verify([good, good], "fc")
    with pytest.raises(LossMismatchError):
        verify([good, bad, good], "fc")


def test_a_batch_without_rows_is_not_measured() -> None:
    found, targets = batch(F.cross_entropy)
    empty = HeadBatch("fc", found.head, found.features[:0], found.logits[:0], ())
    empty.logits_grad = found.logits[:0]
    assert measure(empty, PLAIN.of(empty.logits, targets[:0])) is None
    verify([], "fc")


def test_logits_that_are_nan_are_not_called_right() -> None:
    found, targets = batch(F.cross_entropy)
    broken = HeadBatch("fc", found.head, found.features, found.logits * torch.nan, ())
    broken.logits_grad = found.logits_grad
    with pytest.raises(HeadError):
        verify([measure(broken, PLAIN.of(broken.logits, targets))], "fc")
