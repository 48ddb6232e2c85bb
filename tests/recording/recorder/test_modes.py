"""Only what is trained on is recorded: whatever else passes through the model leaves no trace."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gwa_attrib.recording.begin import record
from gwa_attrib.store import Run, open_run
from tests import loops
from tests.loops import Classifier, Told
from tests.passes import PASSES, Pass


def with_passes(path: Path, between: Pass, model: nn.Module | None = None) -> Run:
    """The loop of the documentation, with `between` before each batch, after backward, and after the step."""
    model = model or Classifier()
    optimizer = loops.sgd(model)
    with record(model, path, num_samples=loops.SAMPLES) as recorder:
        for _ in range(2):
            for x, y in recorder.batches(loops.loader()):
                between(model, x)
                loss = F.cross_entropy(model(x), y)
                loss.backward()
                between(model, x)
                recorder.step(y)
                between(model, x)
                optimizer.step()
                optimizer.zero_grad()
            recorder.end_epoch()
    return open_run(path)


@pytest.mark.parametrize("between", PASSES)
def test_other_passes_leave_no_trace(tmp_path: Path, between: Pass) -> None:
    expected = loops.recorded(tmp_path / "expected", epochs=2)
    found = with_passes(tmp_path / "found", between)
    loops.same_observations(found, expected)


class Checkpointed(Classifier):
    def __init__(self, reentrant: bool, whole: bool) -> None:
        super().__init__()
        self.reentrant, self.whole = reentrant, whole

    def forward(self, x: Tensor) -> Tensor:
        x = x.detach().requires_grad_()
        if self.whole:
            return checkpoint(super().forward, x, use_reentrant=self.reentrant)
        return self.head(checkpoint(self.features, x, use_reentrant=self.reentrant))


@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("whole", [True, False], ids=["whole model", "body"])
@pytest.mark.parametrize("head", ["head", None])
def test_activation_checkpointing_changes_nothing(
    tmp_path: Path, reentrant: bool, whole: bool, head: str | None
) -> None:
    expected = loops.recorded(tmp_path / "expected", epochs=2)
    found = loops.recorded(tmp_path / "found", Checkpointed(reentrant, whole), epochs=2, head=head)
    assert found.info["head"] == "head"
    loops.same_observations(found, expected)


def test_with_gradient_accumulation_each_batch_is_recorded(tmp_path: Path) -> None:
    """Both batches before a step see the same weights."""
    model = Classifier()
    optimizer = loops.sgd(model, 1.0)
    with record(model, tmp_path / "run", num_samples=loops.SAMPLES, optimizer=optimizer) as recorder:
        for i, (x, y) in enumerate(recorder.batches(loops.loader(batch_size=5))):
            weight = model.head.weight.detach().clone()
            (F.cross_entropy(model(x), y) / 2).backward()
            recorder.step(y)
            if i % 2:
                optimizer.step()
                optimizer.zero_grad()
            assert model.head.weight.equal(weight) == (i % 2 == 0)
        recorder.end_epoch()
    run = open_run(tmp_path / "run")
    assert not np.isnan(run.trajectory("alignment")).any()
    whole = loops.recorded(tmp_path / "whole", batches=loops.loader(batch_size=10), optimizer=None)
    np.testing.assert_allclose(run.trajectory("loss")[0, :10], whole.trajectory("loss")[0, :10], rtol=1e-5)


def test_autocast_records_float32_signals_close_to_those_of_full_precision(tmp_path: Path) -> None:
    model, ids = Classifier(), list(range(loops.SAMPLES))
    with record(model, tmp_path / "half", num_samples=loops.SAMPLES) as recorder:
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(Told().x)
            loss = F.cross_entropy(logits, Told().y)
        assert logits.dtype == torch.bfloat16
        loss.backward()
        recorder.step(Told().y, sample_ids=ids)
        recorder.end_epoch()
    found = open_run(tmp_path / "half")
    full = loops.recorded(tmp_path / "full", batches=loops.loader(batch_size=loops.SAMPLES))
    for name in ("alignment", "loss", "margin", "el2n", "p_label"):
        np.testing.assert_allclose(found.trajectory(name), full.trajectory(name), atol=2e-2, err_msg=name)


def test_a_model_in_bfloat16_can_be_recorded(tmp_path: Path) -> None:
    run = loops.recorded(tmp_path / "run", HalfClassifier(), loss=lambda z, y: F.cross_entropy(z.float(), y), epochs=2)
    assert not np.isnan(run.trajectory("alignment")).any()


class HalfClassifier(Classifier):
    def __init__(self) -> None:
        super().__init__()
        self.to(torch.bfloat16)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.bfloat16())


class Normalised(Classifier):
    """BatchNorm in training mode: fine for the head, whose features are what they are."""

    def __init__(self) -> None:
        super().__init__()
        self.body.append(nn.BatchNorm1d(8))


def test_a_head_behind_batch_norm_can_be_recorded(tmp_path: Path) -> None:
    run = loops.recorded(tmp_path / "run", Normalised(), epochs=2)
    assert not np.isnan(run.trajectory("alignment")).any()


class InPlace(Classifier):
    """Changes the logits in place behind the head, which is what the loss is then of."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).mul_(2.0)


def test_logits_changed_in_place_are_no_logits_of_the_head(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="head"):
        loops.recorded(tmp_path / "run", InPlace())


class Twice(Classifier):
    """The head runs twice in one forward pass, over two views of each sample."""

    def forward(self, x: Tensor) -> Tensor:
        return (super().forward(x) + super().forward(-x)) / 2


@pytest.mark.parametrize("head", ["head", None])
def test_a_head_that_runs_twice_is_refused(tmp_path: Path, head: str | None) -> None:
    with pytest.raises(RuntimeError, match=r"2 forward passes"):
        loops.recorded(tmp_path / "run", Twice(), head=head)


def test_the_features_of_the_batch_are_not_kept_after_the_step(tmp_path: Path) -> None:
    """Recording must not hold on to activations or graphs."""
    import gc
    import weakref

    model, kept = Classifier(), []
    model.body.register_forward_hook(lambda module, inputs, output: kept.append(weakref.ref(output)))
    with record(model, tmp_path / "run", num_samples=loops.SAMPLES) as recorder:
        for ids in ([0, 1], [2, 3]):
            recorder.step(loops.backward(model, ids), sample_ids=ids)
        gc.collect()
        assert [reference() for reference in kept] == [None, None]
        recorder.end_epoch()
