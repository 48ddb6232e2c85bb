"""A model that is copied or saved while it is recorded: the copy is a model like any other, and is not recorded."""

import copy
import io
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from gwa_attrib.recording.begin import record
from gwa_attrib.recording.recorder import Recorder
from gwa_attrib.store import open_run
from tests import loops
from tests.loops import Classifier, Told


def saved(model: nn.Module) -> nn.Module:
    """Through a file: structure, weights and all."""
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


COPIES = {"deepcopy": copy.deepcopy, "saved": saved, "averaged": lambda model: AveragedModel(model).module}
each_copy = pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in COPIES.items()])


def in_the_middle(recorder: Recorder, model: nn.Module, make) -> nn.Module:
    """A step, a copy that is trained on its own, another step."""
    recorder.step(loops.backward(model, [0, 1, 2]), sample_ids=[0, 1, 2])
    other = make(model)
    other.train()
    loops.backward(other, [9, 10, 11])
    recorder.step(loops.backward(model, [3, 4, 5]), sample_ids=[3, 4, 5])
    recorder.end_epoch()
    return other


@each_copy
@pytest.mark.parametrize("head", ["head", None])
def test_training_a_copy_is_not_recorded(tmp_path: Path, make, head: str | None) -> None:
    model = Classifier()
    with record(model, tmp_path / "run", num_samples=loops.SAMPLES, head=head) as recorder:
        other = in_the_middle(recorder, model, make)
    assert open_run(tmp_path / "run").observations()["sample_id"].to_pylist() == [0, 1, 2, 3, 4, 5]
    for ours, theirs in zip(model.state_dict().values(), other.state_dict().values(), strict=True):
        assert ours.equal(theirs)


@each_copy
def test_a_copy_holds_nothing_of_the_recording(tmp_path: Path, make) -> None:
    """Trained after the block, it would otherwise collect batches for nobody."""
    model = Classifier()
    with record(model, tmp_path / "run", num_samples=loops.SAMPLES) as recorder:
        other = in_the_middle(recorder, model, make)
    other.train()
    for _ in range(3):
        loops.backward(other, [0, 1])
    assert not recorder._capture._ready
    assert other(Told().x).shape == (loops.SAMPLES, loops.CLASSES)


def test_the_weights_can_be_saved_and_loaded_while_recording(tmp_path: Path) -> None:
    """Loading changes the weights in place: between epochs that is fine."""
    model = Classifier()
    with record(model, tmp_path / "run", num_samples=loops.SAMPLES) as recorder:
        best = copy.deepcopy(model.state_dict())
        loops.train(recorder, model)
        model.load_state_dict(best)
        loops.train(recorder, model)
    losses = open_run(tmp_path / "run").trajectory("loss")
    assert (losses[0] == losses[1]).all()
