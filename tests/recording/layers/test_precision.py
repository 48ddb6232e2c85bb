"""Layers in lower precision: close to the loop in float64, and never a number where a gradient has overflowed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests import layer_loops as loops
from tests.layer_loops import BATCHES, KINDS, SAMPLES, Trial

HALF = 4e-2
"""A loop of batches of one under autocast deviates from the one in float64 by as much (the first convolution, 3e-2)."""
each_kind = pytest.mark.parametrize("kind", KINDS)


def trial(path: Path, kind: str, **options: Any) -> Trial:
    make, x = KINDS[kind]
    return Trial(path, make, x(), **options)


def under_autocast(case: Trial, ids: list[int], dtype: torch.dtype, *, loss_inside: bool = True) -> Tensor:
    """The loss of a batch."""
    case.expect(ids)
    with torch.autocast("cpu", dtype):
        logits = case.model(case.x[ids])
        if loss_inside:
            return F.cross_entropy(logits, case.y[ids])
    return F.cross_entropy(logits.float(), case.y[ids])


@pytest.mark.parametrize("loss_inside", [True, False])
@each_kind
def test_autocast_to_bfloat16(tmp_path: Path, kind: str, loss_inside: bool) -> None:
    with trial(tmp_path / "run", kind) as case:
        optimizer = torch.optim.SGD(case.model.parameters(), 0.1)
        for _ in range(2):
            for ids in BATCHES:
                under_autocast(case, ids, torch.bfloat16, loss_inside=loss_inside).backward()
                case.recorder.step(case.y[ids], sample_ids=ids)
                optimizer.step()
                optimizer.zero_grad()
            case.end_epoch()
    case.check(HALF)


@each_kind
def test_the_last_bits_of_a_whole_batch_in_bfloat16_are_no_mismatch(tmp_path: Path, kind: str) -> None:
    """Sums of many products in half precision: the check of the totals has to allow for their rounding."""
    n = 256
    make, x = KINDS[kind]
    inputs = {"vectors": loops.vectors, "images": loops.images, "sequences": loops.sequences}[x.__name__](n)
    inputs = inputs / n if kind == "mlp" else inputs
    with Trial(tmp_path / "run", make, inputs, loops.labels(n)) as case:
        for ids in torch.arange(n).split(64):
            with torch.autocast("cpu", torch.bfloat16):
                loss = F.cross_entropy(case.model(inputs[ids]), case.y[ids])
            loss.backward()
            case.recorder.step(case.y[ids], sample_ids=ids)
        case.end_epoch()
    assert not np.isnan(case.run.trajectory("alignment", layer="all")).any()


def in_bfloat16(make: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    return lambda: make().to(torch.bfloat16)


@each_kind
def test_a_model_in_bfloat16(tmp_path: Path, kind: str) -> None:
    make, x = KINDS[kind]
    with Trial(tmp_path / "run", in_bfloat16(make), x().bfloat16() / 4) as case:
        # One epoch: later autograd's own bfloat16 gradient of one sample is an eighth off, and that is what is stored.
        case.epochs(BATCHES, 1, lambda z, y: F.cross_entropy(z.float(), y))
    case.check(HALF)


@each_kind
def test_a_model_in_float64_is_stored_in_float32(tmp_path: Path, kind: str) -> None:
    make, x = KINDS[kind]
    with Trial(tmp_path / "run", lambda: make().double(), x().double()) as case:
        case.epochs(BATCHES, 2)
    case.check(1e-6)


def scaled_step(case: Trial, scaler: torch.amp.GradScaler, optimizer: torch.optim.Optimizer, ids: list[int]) -> None:
    scaler.scale(under_autocast(case, ids, torch.float16, loss_inside=False)).backward()
    case.recorder.step(case.y[ids], sample_ids=ids)
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(case.model.parameters(), 1.0)
    scaler.step(optimizer)
    scaler.update()
    optimizer.zero_grad()


@each_kind
def test_float16_with_a_loss_scale(tmp_path: Path, kind: str) -> None:
    with trial(tmp_path / "run", kind) as case:
        optimizer = torch.optim.SGD(case.model.parameters(), 0.1)
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=2)
        for _ in range(2):
            for ids in BATCHES:
                scaled_step(case, scaler, optimizer, ids)
            case.end_epoch()
    case.check(HALF)


@each_kind
def test_an_overflow_of_the_loss_scale_is_nan_and_the_next_step_is_right(tmp_path: Path, kind: str) -> None:
    """In every layer and signal: a number from an infinite gradient would look like any other."""
    with trial(tmp_path / "run", kind) as case:
        optimizer = torch.optim.SGD(case.model.parameters(), 0.1)
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**60, backoff_factor=2.0**-50)
        before = [p.detach().clone() for p in case.model.parameters()]
        scaled_step(case, scaler, optimizer, [0, 1, 2, 3])
        assert all(a.equal(b) for a, b in zip(before, case.model.parameters(), strict=True))
        overflowed = case.truths.pop()
        scaled_step(case, scaler, optimizer, [4, 5, 6])
        case.end_epoch()
    table = case.run.layer_observations().to_pandas()
    first = table[table["sample_id"].isin(overflowed.ids)]
    assert len(first) == 4 * len(case.run.layers)
    assert first[["alignment", "dot", "grad_norm"]].isna().all(axis=None)
    rest = case.run.layers, table[~table["sample_id"].isin(overflowed.ids)].set_index("sample_id")
    check_all(*rest, case)


def check_all(layers: tuple[str, ...], table: Any, case: Trial) -> None:
    truth = case.truths[0]
    everything = list(truth.gradients)
    for layer in layers:
        names = [n for n in everything if layer in ("all", n) or n.startswith(layer + ".")]
        loops.check_rows(table[table["layer"] == layer], truth, names, everything, HALF)


class Explodes(torch.autograd.Function):
    """Passes everything on, and makes the gradient of one sample infinite on its way back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, value: float) -> Tensor:
        ctx.value = value
        return x.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        grad = grad.clone()
        grad[1:2] *= ctx.value
        return grad, None


class Explosive(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.convolution, self.body, self.head = nn.Conv1d(1, 4, 3), nn.Linear(16, 8), nn.Linear(8, 3)
        self.value = 1.0

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(self.convolution(x.unsqueeze(1)).flatten(1).tanh()).tanh()
        return self.head(Explodes.apply(x, self.value if self.training else 1.0))


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_a_gradient_that_overflows_below_the_head_is_nan_there(tmp_path: Path, value: float) -> None:
    """The head and the other samples keep their numbers."""
    with Trial(tmp_path / "run", Explosive, loops.vectors()) as case:
        case.model.value = value
        case.step([0, 1, 2])
        case.end_epoch()
    truth, table = case.truths[0], case.run.layer_observations().to_pandas()
    bad = table[(table["sample_id"] == 1) & (table["layer"] != "head")]
    finite = bad[["alignment", "dot", "grad_norm"]].notna()
    assert not finite.any(axis=None), bad
    everything = list(truth.gradients)
    for layer in case.run.layers[1:]:
        names = [name for name in everything if name.startswith(layer)]
        of_layer = table[table["layer"] == layer].set_index("sample_id")
        rows = [0, 1, 2] if layer == "head" else [0, 2]
        kept = {name: value[rows] for name, value in truth.gradients.items()}
        ids = [truth.ids[row] for row in rows]
        loops.check_rows(of_layer.loc[ids], truth._replace(ids=ids, gradients=kept), names, everything, 1e-5)


@pytest.mark.parametrize("factor", [1e-12, 1e12])
@each_kind
def test_tiny_and_large_factors_of_the_loss(tmp_path: Path, kind: str, factor: float) -> None:
    with trial(tmp_path / "run", kind) as case:
        case.epochs(BATCHES, 1, lambda z, y: F.cross_entropy(z, y) * factor, lr=0.0)
    case.check()


@pytest.mark.parametrize("sharpness", [20, 40, 60, 80])
def test_samples_the_model_is_sure_of_are_right_or_unknown(tmp_path: Path, sharpness: float) -> None:
    """Where 1 - p is rounding, so is the gradient that reaches the layers: a number made of it points anywhere."""

    def sure() -> nn.Module:
        model = loops.mlp()
        with torch.no_grad():
            model[-1].weight *= sharpness
        return model

    with Trial(tmp_path / "run", sure, loops.vectors()) as case:
        case.epochs([list(range(SAMPLES))], 1, lr=0.0)
    truth = case.truths[0]
    dot, norm, weight = truth.of(list(truth.gradients))
    assert norm.min() < 0.05
    for name, expected, scale in (("alignment", dot / norm / weight, 1.0), ("grad_norm", norm, norm)):
        found = case.run.trajectory(name, layer="all")[0].astype(np.float64)
        gap = np.nan_to_num(np.abs(found - expected) / scale)
        assert (gap <= (1e-3 if name == "alignment" else 2e-2)).all(), f"{name}: {found} for {expected}"
