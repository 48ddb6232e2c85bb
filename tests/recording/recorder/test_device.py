"""`step` never waits for the device: values stay there until the epoch ends.

On the meta device tensors have no values: whatever needs one (an `item`, a branch, a copy to the host) raises there.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from gwa_attrib.recording.begin import record
from gwa_attrib.recording.recorder import Recorder
from gwa_attrib.store import open_run
from tests import loops
from tests.loops import Classifier, Told

SOFT = torch.randn(loops.SAMPLES, loops.CLASSES, generator=torch.Generator().manual_seed(0)).softmax(dim=1)


def step_on_meta(recorder: Recorder, model: torch.nn.Module, targets: torch.Tensor, **loss: Any) -> None:
    F.cross_entropy(model(Told().x.to("meta")), targets.to("meta"), **loss).backward()
    recorder.step(targets.to("meta"), sample_ids=torch.arange(loops.SAMPLES))


@pytest.mark.parametrize("targets", [Told().y, SOFT], ids=["classes", "distributions"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.filterwarnings("ignore:Expected recorder.end_epoch")
def test_steps_need_no_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, targets: torch.Tensor, smoothing: float, weighted: bool
) -> None:
    """The verdict on the first batch does, and is left out here."""
    monkeypatch.setattr("gwa_attrib.recording.recorder.verify", lambda *_: None)
    model, weight = Classifier().to("meta"), torch.ones(loops.CLASSES, device="meta") if weighted else None
    options = {"label_smoothing": smoothing, "class_weight": weight}
    with record(model, tmp_path / "run", num_samples=loops.SAMPLES, **options) as recorder:
        for _ in range(9):
            step_on_meta(recorder, model, targets, label_smoothing=smoothing, weight=weight)


def test_the_first_step_does_need_values(tmp_path: Path) -> None:
    """So the test above can fail: the meta device notices."""
    model = Classifier().to("meta")
    with (
        record(model, tmp_path / "run", num_samples=loops.SAMPLES) as recorder,
        pytest.raises((RuntimeError, NotImplementedError), match="meta"),
    ):
        step_on_meta(recorder, model, Told().y)


def test_hooks_need_no_values(tmp_path: Path) -> None:
    """Forward and backward alone."""
    model = Classifier().to("meta")
    with record(model, tmp_path / "run", num_samples=loops.SAMPLES):
        F.cross_entropy(model(Told().x.to("meta")), Told().y.to("meta")).backward()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_cuda_device_nothing_waits_and_the_values_are_those_of_the_cpu(tmp_path: Path) -> None:
    expected = loops.recorded(tmp_path / "cpu", batches=loops.loader(batch_size=loops.SAMPLES))
    model, x, y = Classifier().cuda(), Told().x.cuda(), Told().y.cuda()
    with record(model, tmp_path / "cuda", num_samples=loops.SAMPLES) as recorder:
        for mode in ("default", "error", "error"):
            F.cross_entropy(model(x), y).backward()
            torch.cuda.set_sync_debug_mode(mode)
            try:
                recorder.step(y, sample_ids=torch.arange(loops.SAMPLES))
            finally:
                torch.cuda.set_sync_debug_mode("default")
        recorder.end_epoch()
    found = torch.from_numpy(open_run(tmp_path / "cuda").trajectory("alignment"))
    torch.testing.assert_close(found, torch.from_numpy(expected.trajectory("alignment")), rtol=1e-4, atol=1e-5)
