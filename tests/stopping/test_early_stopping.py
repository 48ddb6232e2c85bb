"""Early stopping in a training: the epoch is the one that the finished run gives, and its weights come back."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch.optim.swa_utils import AveragedModel

import gwa_attrib as gwa
from gwa_attrib.errors import InputError, NotRecordedError, StepOrderError, UnknownNameError
from gwa_attrib.stopping import stopping_rules
from tests import loops


class Scripted:
    """A recorder whose epochs have given alignments; its model's weight is the number of the epoch."""

    def __init__(self, path: Path, mean: list[float]) -> None:
        from tests.stopping.histories import history

        self.run = history(path, mean)
        self.path, self.model, self.ended = self.run.path, torch.nn.Linear(1, 1), 0

    def end_epoch(self) -> None:
        torch.nn.init.constant_(self.model.weight, self.ended)
        self.ended += 1

    def epochs(self):
        return self.run.epochs().iloc[: self.ended]


def test_it_stops_and_restores_the_best_weights(tmp_path: Path) -> None:
    recorder = Scripted(tmp_path / "run", [0.1, 0.3, 0.5, 0.4, 0.3, 0.2, 0.9])
    stopper = gwa.EarlyStopping(recorder, "mean_alignment", patience=3)
    said = []
    for _ in range(7):
        recorder.end_epoch()
        said.append(stopper.update())
        if said[-1]:
            break
    assert said == [False] * 5 + [True]
    assert stopper.best_epoch == 2
    assert stopper.choice == gwa.choose_epoch(recorder.run, "mean_alignment", patience=3)
    assert stopper.restore() == 2
    assert recorder.model.weight.item() == 2.0


def test_only_the_states_that_may_be_wanted_are_kept(tmp_path: Path) -> None:
    recorder = Scripted(tmp_path / "run", [0.1, 0.3, 0.5, 0.4, 0.3])
    stopper = gwa.EarlyStopping(recorder)
    for _ in range(5):
        recorder.end_epoch()
        stopper.update()
        assert len(stopper._states) <= 2
    state = stopper.best_state
    assert state["weight"].item() == 2.0
    assert state["weight"].device.type == "cpu"
    recorder.model.weight.data.zero_()
    assert state["weight"].item() == 2.0, "a copy"


def test_a_best_epoch_whose_weights_are_gone_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    """The warm-up of an open-ended training moves: an epoch that was passed over may become the best."""
    mean = [0.1, 0.9, 0.2, 0.3, *[0.1] * 17]
    recorder = Scripted(tmp_path / "run", mean)
    open_ended, planned = gwa.EarlyStopping(recorder), gwa.EarlyStopping(recorder, epochs=len(mean))
    for _ in mean:
        recorder.end_epoch()
        open_ended.update()
        planned.update()
    assert planned.best_epoch == open_ended.best_epoch == 3
    assert planned.best_state["weight"].item() == 3.0
    with pytest.raises(InputError, match="epochs="):
        _ = open_ended.best_state


@pytest.mark.parametrize("rule", [name for name in stopping_rules.names() if name != "gradient_disparity"])
def test_in_a_training_it_says_what_the_run_says_afterwards(tmp_path: Path, rule: str) -> None:
    model = loops.Classifier()
    optimizer = loops.sgd(model, 0.5)
    with gwa.record(model, tmp_path / "run", num_samples=loops.SAMPLES, probe=9) as recorder:
        stopper = gwa.EarlyStopping(recorder, rule, epochs=6)
        states = []
        for epoch in range(6):
            for x, y in recorder.batches(loops.loader()):
                F.cross_entropy(model(x), y).backward()
                recorder.step(y)
                optimizer.step()
                optimizer.zero_grad()
            recorder.end_epoch(val_accuracy=0.1 * (epoch % 4))
            states.append({name: value.clone() for name, value in model.state_dict().items()})
            stopper.update()
    found = gwa.choose_epoch(gwa.open_run(tmp_path / "run"), rule)
    assert (stopper.best_epoch, stopper.choice.measure) == (found.epoch, found.measure)
    stopper.restore()
    for name, value in model.state_dict().items():
        assert torch.equal(value, states[found.epoch][name])


def test_averaged_weights_are_kept_if_they_are_what_is_used(tmp_path: Path) -> None:
    recorder = Scripted(tmp_path / "run", [0.1, 0.2])
    averaged = AveragedModel(recorder.model)
    stopper = gwa.EarlyStopping(recorder, model=averaged)
    recorder.end_epoch()
    averaged.update_parameters(recorder.model)
    stopper.update()
    assert "module.weight" in stopper.best_state


def test_asked_too_early_or_for_what_is_not_there(tmp_path: Path) -> None:
    recorder = Scripted(tmp_path / "run", [0.1, 0.2])
    stopper = gwa.EarlyStopping(recorder)
    for ask in (stopper.update, lambda: stopper.best_epoch, stopper.restore):
        with pytest.raises(StepOrderError, match="end_epoch"):
            ask()
    recorder.end_epoch()
    with pytest.raises(NotRecordedError, match="probe=2000"):
        gwa.EarlyStopping(recorder, "probe_alignment").update()
    with pytest.raises(UnknownNameError):
        gwa.EarlyStopping(recorder, "best")
    with pytest.raises(InputError):
        gwa.EarlyStopping(recorder, patience=0)


def test_the_weights_that_are_kept_go_through_a_checkpoint(tmp_path: Path) -> None:
    mean = [0.1, 0.9, 0.2, 0.3]
    recorder = Scripted(tmp_path / "run", mean)
    first = gwa.EarlyStopping(recorder, epochs=len(mean), patience=2)
    for _ in mean[:3]:
        recorder.end_epoch()
        first.update()
    again = gwa.EarlyStopping(recorder, epochs=len(mean), patience=2)
    again.load_state_dict(first.state_dict())
    assert (again.best_epoch, again.kept) == (first.best_epoch, (1,))
    recorder.end_epoch()
    assert again.update()
    assert again.best_state["weight"].item() == 1.0
