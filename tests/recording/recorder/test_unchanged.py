"""Recording changes nothing: the training, to the bit, and the model, once the block has ended."""

import logging
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

from gwa_attrib.errors import LossMismatchError
from gwa_attrib.recording.begin import record
from gwa_attrib.recording.recorder import Recorder
from gwa_attrib.store import open_run
from tests import loops
from tests.loops import Classifier, Told


def training(path: Path | None, make: Callable[[nn.Module], torch.optim.Optimizer], **options: Any) -> dict[str, Any]:
    """Everything that happens in two epochs with dropout and shuffling; recorded into `path`, if there is one."""
    torch.manual_seed(11)
    model = Classifier(dropout=0.5)
    optimizer, loader = make(model), loops.loader(shuffle=True, **options)
    facts: dict[str, Any] = {"loss": [], "x": [], "y": [], "grad": []}
    with record(model, path, num_samples=loops.SAMPLES, optimizer=optimizer) if path else nullcontext() as recorder:
        for _ in range(2):
            for x, y in recorder.batches(loader) if recorder else loader:
                loss = F.cross_entropy(model(x), y)
                loss.backward()
                if recorder:
                    recorder.step(y)
                for name, value in (("loss", loss), ("x", x), ("y", y), ("grad", model.head.weight.grad)):
                    facts[name].append(value.detach().clone())
                optimizer.step()
                optimizer.zero_grad()
            if recorder:
                recorder.end_epoch()
    facts["weights"] = list(model.state_dict().values())
    facts["random"] = [torch.rand(3)]
    return facts


OPTIMIZERS = {
    "sgd": lambda model: torch.optim.SGD(model.parameters(), 0.1, momentum=0.9),
    "adam": lambda model: torch.optim.Adam(model.parameters(), 0.01),
}


@pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in OPTIMIZERS.items()])
@pytest.mark.parametrize("workers", [0, 2])
def test_training_is_the_same_to_the_bit(tmp_path: Path, make: Any, workers: int) -> None:
    expected = training(None, make, num_workers=workers)
    found = training(tmp_path / "run", make, num_workers=workers)
    for name, values in expected.items():
        assert len(values) == len(found[name])
        for a, b in zip(values, found[name], strict=True):
            assert a.equal(b), name


def picture(model: nn.Module) -> dict[str, Any]:
    """All of a model, of torch and of logging that somebody could have left something on."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks", "_state_dict_hooks")
    flags = ("_forward_hooks_with_kwargs", "_forward_hooks_always_called", "_non_persistent_buffers_set")
    return {
        "keys": list(model.state_dict()),
        "modules": {name: sorted(vars(module)) for name, module in model.named_modules()},
        "hooks": {
            (name, kind): list(getattr(module, kind))
            for name, module in model.named_modules()
            for kind in (*hooks, *flags)
        },
        "parameters": {name: (id(p), sorted(vars(p)), p.requires_grad) for name, p in model.named_parameters()},
        "forward": {name: vars(module).get("forward") for name, module in model.named_modules()},
        "training": model.training,
        "optimizer hooks": (len(_global_optimizer_pre_hooks), len(_global_optimizer_post_hooks)),
        "logging": (list(logging.root.handlers), logging.root.level),
        "grad": torch.is_grad_enabled(),
        "threads": torch.get_num_threads(),
    }


@pytest.mark.parametrize("head", [None, "head"])
def test_the_model_is_as_it_was(tmp_path: Path, head: str | None) -> None:
    model = Classifier()
    before = picture(model)
    with record(model, tmp_path / "run", num_samples=loops.SAMPLES, head=head) as recorder:
        inside = picture(model)
        loops.train(recorder, model)
    assert inside["hooks"] != before["hooks"]
    assert inside["keys"] == before["keys"]
    assert picture(model) == before


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), SystemExit(1)])
@pytest.mark.parametrize("steps", [0, 1])
def test_the_model_is_as_it_was_after_an_exception(tmp_path: Path, error: BaseException, steps: int) -> None:
    model = Classifier()
    before = picture(model)

    def interrupted() -> None:
        with record(model, tmp_path / "run", num_samples=loops.SAMPLES) as recorder:
            for _ in range(steps):
                recorder.step(loops.backward(model, [0, 1]), sample_ids=[0, 1])
            raise error

    with pytest.raises(type(error)):
        interrupted()
    assert picture(model) == before


def test_hooks_of_the_user_stay(tmp_path: Path) -> None:
    model, calls = Classifier(), []
    handle = model.head.register_forward_hook(lambda *_: calls.append("user"))
    with record(model, tmp_path / "run", num_samples=loops.SAMPLES) as recorder:
        loops.train(recorder, model)
    model(Told().x)
    assert len(calls) == len(loops.loader()) + 1
    handle.remove()


def test_a_hook_of_the_user_that_replaces_the_output_is_seen_behind_ours(tmp_path: Path) -> None:
    """Ours runs first and sees what the layer computes; the loss is then not the one of the layer's output."""
    model = Classifier()
    model.head.register_forward_hook(lambda module, inputs, output: output * 3)
    with record(model, tmp_path / "run", num_samples=loops.SAMPLES) as recorder:
        y = loops.backward(model, [0, 1, 2])
        with pytest.raises(LossMismatchError, match="temperature"):
            recorder.step(y, sample_ids=[0, 1, 2])


def test_two_recorders_do_not_disturb_each_other(tmp_path: Path) -> None:
    """Of two models trained in turn."""
    alone = loops.recorded(tmp_path / "alone").trajectory("alignment")
    models = [Classifier(), Classifier(seed=1)]
    with (
        record(models[0], tmp_path / "0", num_samples=loops.SAMPLES) as first,
        record(models[1], tmp_path / "1", num_samples=loops.SAMPLES) as second,
    ):
        _in_turn(models, [first, second])

    assert (open_run(tmp_path / "0").trajectory("alignment") == alone).all()


def _in_turn(models: list[Classifier], recorders: list[Recorder]) -> None:
    optimizers = [loops.sgd(model) for model in models]
    for x, y in loops.loader():
        for model in models:
            F.cross_entropy(model(x), y).backward()
        for recorder in recorders:
            recorder.step(y, sample_ids=loops.told_ids(x))
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
    for recorder in recorders:
        recorder.end_epoch()
