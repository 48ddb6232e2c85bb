"""`step` belongs after backward and before the optimizer's step; at any other moment it says so and records nothing."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from gwa_attrib.errors import InputError, StepOrderError
from gwa_attrib.recording.begin import record
from gwa_attrib.recording.recorder import Recorder
from gwa_attrib.store import open_run
from tests import loops
from tests.loops import Classifier

IDS = [0, 1, 2, 3]


class WritesToData(torch.optim.Optimizer):
    """As older optimizers do: through ``.data``, past autograd's version counters."""

    def __init__(self, parameters: Iterator[nn.Parameter]) -> None:
        super().__init__(parameters, {"lr": 0.1})

    def step(self) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.data = parameter.data - group["lr"] * parameter.grad


OPTIMIZERS: dict[str, Callable[[Iterator[nn.Parameter]], torch.optim.Optimizer]] = {
    f"{kind.__name__} {flags}": lambda parameters, kind=kind, flags=flags: kind(parameters, lr=0.1, **flags)
    for kind in (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop, torch.optim.Adagrad)
    for flags in ({"foreach": True}, {"foreach": False}, {"fused": True})
    if not (kind is torch.optim.RMSprop and "fused" in flags)
}


@pytest.fixture(params=["head", None], ids=["head given", "head to be found"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Recorder, Classifier]]:
    model = Classifier()
    with record(model, tmp_path / "run", num_samples=loops.SAMPLES, head=request.param) as recorder:
        yield recorder, model


@pytest.mark.parametrize("first", [True, False], ids=["first batch", "later batch"])
@pytest.mark.parametrize("make", [*(pytest.param(v, id=k) for k, v in OPTIMIZERS.items()), WritesToData])
@pytest.mark.filterwarnings("ignore:Expected recorder.end_epoch")
def test_after_the_optimizer_is_too_late(tmp_path: Path, make: Callable, first: bool) -> None:
    model = Classifier()
    optimizer = make(model.parameters())
    with record(model, tmp_path / "run", num_samples=loops.SAMPLES) as recorder:
        if not first:
            recorder.step(loops.backward(model, IDS), sample_ids=IDS)
            optimizer.step()
        y = loops.backward(model, IDS)
        optimizer.step()
        with pytest.raises(StepOrderError, match=r"before optimizer\.step"):
            recorder.step(y, sample_ids=IDS)


def test_weights_changed_by_hand_are_noticed(case: tuple[Recorder, Classifier]) -> None:
    recorder, model = case
    y = loops.backward(model, IDS)
    with torch.no_grad():
        model.head.weight.mul_(0.9)
    with pytest.raises(StepOrderError, match=r"before optimizer\.step"):
        recorder.step(y, sample_ids=IDS)


def test_the_optimizer_of_another_model_may_step(case: tuple[Recorder, Classifier]) -> None:
    """A generator and a discriminator, say."""
    recorder, model = case
    other = Classifier(seed=1)
    loops.backward(other, IDS)
    y = loops.backward(model, IDS)
    loops.sgd(other).step()
    recorder.step(y, sample_ids=IDS)
    recorder.end_epoch()


def test_zero_grad_before_step_does_no_harm(case: tuple[Recorder, Classifier]) -> None:
    recorder, model = case
    y = loops.backward(model, IDS)
    model.zero_grad()
    recorder.step(y, sample_ids=IDS)
    assert recorder.end_epoch().n == 4


def test_twice_for_one_batch_is_refused(case: tuple[Recorder, Classifier]) -> None:
    recorder, model = case
    y = loops.backward(model, IDS)
    recorder.step(y, sample_ids=IDS)
    with pytest.raises(StepOrderError):
        recorder.step(y, sample_ids=IDS)
    assert recorder.end_epoch().n == 4


def test_without_a_forward_pass_is_refused(case: tuple[Recorder, Classifier]) -> None:
    recorder, _ = case
    with pytest.raises(StepOrderError, match=r"model\.train\(\)"):
        recorder.step(torch.tensor([0, 1]), sample_ids=[0, 1])


def test_without_a_backward_pass_is_refused(case: tuple[Recorder, Classifier]) -> None:
    recorder, model = case
    model(loops.Told().x[:4])
    with pytest.raises(StepOrderError, match="no backward pass"):
        recorder.step(torch.tensor([0, 1, 2, 0]), sample_ids=IDS)


def test_once_for_two_batches_is_refused(case: tuple[Recorder, Classifier]) -> None:
    recorder, model = case
    loops.backward(model, IDS)
    y = loops.backward(model, [4, 5, 6, 7])
    with pytest.raises(StepOrderError, match="once per backward pass"):
        recorder.step(y, sample_ids=[4, 5, 6, 7])


def test_training_in_evaluation_mode_is_refused_and_says_why(case: tuple[Recorder, Classifier]) -> None:
    recorder, model = case
    model.eval()
    y = loops.backward(model, IDS)
    with pytest.raises(StepOrderError, match=r"model\.train\(\)"):
        recorder.step(y, sample_ids=IDS)


def test_after_a_refusal_the_next_batch_is_recorded(case: tuple[Recorder, Classifier]) -> None:
    recorder, model = case
    loops.backward(model, IDS)
    loops.backward(model, IDS)
    with pytest.raises(StepOrderError):
        recorder.step(torch.tensor([0, 1, 2, 0]), sample_ids=IDS)
    recorder.step(loops.backward(model, [7, 8]), sample_ids=[7, 8])
    recorder.end_epoch()
    assert open_run(recorder.path).observations()["sample_id"].to_pylist() == [7, 8]


def test_outside_the_block_nothing_is_seen(tmp_path: Path) -> None:
    model = Classifier()
    recorder = record(model, tmp_path / "run", num_samples=loops.SAMPLES)
    y = loops.backward(model, IDS)
    with pytest.raises(StepOrderError):
        recorder.step(y, sample_ids=IDS)
    with recorder:
        pass
    y = loops.backward(model, IDS)
    with pytest.raises(StepOrderError):
        recorder.step(y, sample_ids=IDS)


def test_an_epoch_without_steps_is_refused(case: tuple[Recorder, Classifier]) -> None:
    recorder, model = case
    with pytest.raises(StepOrderError, match=r"recorder\.step\(targets\) after each loss\.backward"):
        recorder.end_epoch()
    recorder.step(loops.backward(model, IDS), sample_ids=IDS)
    recorder.end_epoch()
    with pytest.raises(StepOrderError):
        recorder.end_epoch()


@pytest.mark.parametrize(
    ("targets", "ids"),
    [
        (torch.tensor([0, 1, 2]), IDS),
        (torch.tensor([0, 1, 2, 0]), IDS[:3]),
        (torch.full((4, 2), 0.5), IDS),
        (torch.full((3, 3), 1 / 3), IDS),
        (torch.tensor([0, 1, 2, 0]), [0.0, 1.0, 2.0, 3.0]),
        (torch.tensor([0, 1, 2, 0]), [True, False, True, False]),
        (torch.tensor([0, 1, 2, 0]), torch.tensor([[0], [1], [2], [3]])),
        (torch.tensor([0, 1, 2, 0]), []),
    ],
)
def test_what_is_not_of_one_batch_is_refused(
    case: tuple[Recorder, Classifier], targets: torch.Tensor, ids: list
) -> None:
    recorder, model = case
    loops.backward(model, IDS)
    with pytest.raises(InputError):
        recorder.step(targets, sample_ids=ids)


def test_without_ids_it_is_refused_with_the_two_ways_to_give_them(case: tuple[Recorder, Classifier]) -> None:
    recorder, model = case
    y = loops.backward(model, IDS)
    with pytest.raises(InputError, match=r"recorder\.batches\(loader\).*sample_ids=ids"):
        recorder.step(y)


def test_ids_are_used_once(case: tuple[Recorder, Classifier]) -> None:
    """A batch from elsewhere does not get the ids of the last one of the loader."""
    recorder, model = case
    for x, y in recorder.batches(loops.loader(batch_size=4)):
        torch.nn.functional.cross_entropy(model(x), y).backward()
        recorder.step(y)
        break
    y = loops.backward(model, IDS)
    with pytest.raises(InputError):
        recorder.step(y)
    recorder.end_epoch()


def test_changing_the_ids_afterwards_changes_nothing(case: tuple[Recorder, Classifier]) -> None:
    recorder, model = case
    ids = torch.tensor(IDS)
    y = loops.backward(model, IDS)
    recorder.step(y, sample_ids=ids)
    ids += 4
    y.fill_(0)
    recorder.end_epoch()
    assert open_run(recorder.path).observations()["sample_id"].to_pylist() == IDS
    assert open_run(recorder.path).labels[:4].tolist() == [0, 1, 2, 0]
