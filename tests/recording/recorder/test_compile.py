"""Under `torch.compile`: begun before the first call, recording is right; begun after it, it says so."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gwa_attrib.errors import StepOrderError
from gwa_attrib.recording.begin import record
from gwa_attrib.recording.recorder import Recorder
from gwa_attrib.store import Run, open_run
from tests import loops
from tests.loops import Classifier, Told

# torch's compiler warns about itself: a tensor between two graphs is looked at for a gradient.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf"),
    pytest.mark.usefixtures("without_type_checks"),
]

BACKENDS = ["eager", "aot_eager"]


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def step(recorder: Recorder, compiled: nn.Module) -> None:
    F.cross_entropy(compiled(Told().x), Told().y).backward()
    recorder.step(Told().y, sample_ids=range(loops.SAMPLES))


def close(found: Run, expected: Run) -> None:
    for name in ("alignment", "loss", "margin"):
        np.testing.assert_allclose(found.trajectory(name), expected.trajectory(name), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("head", ["head", None])
def test_recording_that_begins_before_the_first_call_is_right(tmp_path: Path, backend: str, head: str | None) -> None:
    model = Classifier()
    with record(model, tmp_path / "run", num_samples=loops.SAMPLES, head=head) as recorder:
        step(recorder, torch.compile(model, backend=backend))
        recorder.end_epoch()
    expected = loops.recorded(tmp_path / "expected", batches=loops.loader(batch_size=loops.SAMPLES))
    close(open_run(tmp_path / "run"), expected)


@pytest.mark.parametrize("backend", BACKENDS)
def test_epochs_of_a_compiled_model_are_right(tmp_path: Path, backend: str) -> None:
    """The hooks change after the first batch, when the head has been found."""
    compiled = torch.compile(Classifier(), backend=backend)
    found = loops.recorded(tmp_path / "run", compiled, epochs=3)
    close(found, loops.recorded(tmp_path / "expected", epochs=3))


@pytest.mark.parametrize("backend", BACKENDS)
def test_recording_that_begins_after_a_compiled_call_names_the_cure(tmp_path: Path, backend: str) -> None:
    model = Classifier()
    compiled = torch.compile(model, backend=backend)
    compiled(Told().x)
    with (
        record(model, tmp_path / "run", num_samples=loops.SAMPLES) as recorder,
        pytest.raises(StepOrderError, match=r"compiled.*begin recording before the first call"),
    ):
        step(recorder, compiled)


def test_after_recording_a_compiled_model_still_trains(tmp_path: Path) -> None:
    compiled = torch.compile(Classifier(), backend="eager")
    loops.recorded(tmp_path / "run", compiled)
    F.cross_entropy(compiled(Told().x), Told().y).backward()
    assert not any(module._forward_hooks for module in compiled.modules())
