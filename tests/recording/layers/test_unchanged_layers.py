"""Recording layers changes nothing: the training (convolutions up to rounding), the model, torch, and its copies."""

import copy
import io
import logging
import pickle
import random
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader, TensorDataset

from gwa_attrib.errors import LayerError
from gwa_attrib.recording.begin import record
from tests import layer_loops as loops
from tests.layer_loops import BATCHES, KINDS, SAMPLES, Trial

HOOKS = [name for name in vars(nn.Linear(1, 1)) if "hook" in name]


class Everything(nn.Module):
    """Every kind of layer, buffers that move in training, dropout, raw parameters."""

    def __init__(self, convolutions: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        first = [nn.Conv2d(2, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.ReLU(True), nn.Conv2d(4, 4, 3, stride=2)]
        flat = [nn.Flatten(2), nn.Linear(36, 4)]
        self.first = nn.Sequential(*(first if convolutions else flat), nn.Dropout(0.2), nn.Flatten())
        width = 16 if convolutions else 8
        self.norm, self.project = nn.LayerNorm(width), nn.Linear(width, 6)
        self.frozen = nn.BatchNorm1d(width, momentum=0.5).eval()
        self.attends = loops.Attends(3)
        self.attends.attention.dropout = 0.1

    def forward(self, x: Tensor) -> Tensor:
        x = self.frozen(self.norm(self.first(x)))
        tokens = torch.stack([self.project(x), self.project(x.tanh()), self.project(x.square())], dim=1)
        return self.attends(F.dropout(tokens, 0.1, self.training))


def without_convolutions() -> nn.Module:
    return Everything(convolutions=False)


def with_convolutions() -> nn.Module:
    return Everything(convolutions=True)


OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, 0.05, momentum=0.9),
    # With a large eps, or it would blow up the rounding in gradients that are zero by nature to steps of their own.
    "adam": lambda parameters: torch.optim.Adam(parameters, 0.01, eps=1e-3),
}


def training(path: Path | None, make: Callable[[], nn.Module], optimizer: str, layers: Any = "all") -> dict[str, Any]:
    """Everything that happens in two epochs with dropout and shuffling; recorded into `path`, if there is one."""
    model = make()
    step = OPTIMIZERS[optimizer](model.parameters())
    loader = DataLoader(TensorDataset(loops.images(), loops.labels()), 5, shuffle=True)
    facts: dict[str, Any] = {"loss": [], "x": [], "grad": []}
    with record(model, path, num_samples=SAMPLES, layers=layers) if path else nullcontext() as recorder:
        for _ in range(2):
            for x, y in recorder.batches(loader) if recorder else loader:
                x.requires_grad_()
                loss = F.cross_entropy(model(x), y)
                loss.backward()
                if recorder:
                    recorder.step(y)
                facts["loss"].append(loss.detach())
                facts["x"] += [x.detach(), x.grad]
                facts["grad"] += [p.grad.clone() for p in model.parameters()]
                step.step()
                step.zero_grad()
            if recorder:
                recorder.end_epoch()
    facts["weights"] = [value.clone() for value in model.state_dict().values()]
    facts["random"] = [torch.rand(3), torch.tensor(random.random()), torch.from_numpy(np.random.rand(2))]
    return facts


def both(path: Path, *args: Any, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    results = []
    for where in (None, path):
        torch.manual_seed(3)
        random.seed(3)
        np.random.seed(3)
        results.append(training(where, *args, **options))
    return results[0], results[1]


@pytest.mark.usefixtures("without_type_checks")  # which draw from Python's random numbers
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_without_convolutions_the_training_is_the_same_to_the_bit(tmp_path: Path, optimizer: str) -> None:
    expected, found = both(tmp_path / "run", without_convolutions, optimizer)
    for name, values in expected.items():
        assert [a.equal(b) for a, b in zip(values, found[name], strict=True)] == [True] * len(values), name


@pytest.mark.usefixtures("without_type_checks")  # which draw from Python's random numbers
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_with_convolutions_the_training_is_the_same_up_to_rounding(tmp_path: Path, optimizer: str) -> None:
    expected, found = both(tmp_path / "run", with_convolutions, optimizer)
    for name, values in expected.items():
        for a, b in zip(values, found[name], strict=True):
            torch.testing.assert_close(b, a, rtol=1e-5, atol=1e-5, msg=name)
    assert [a.equal(b) for a, b in zip(expected["random"], found["random"], strict=True)] == [True] * 3


@pytest.mark.usefixtures("without_type_checks")
def test_with_convolutions_left_out_the_training_is_the_same_to_the_bit(tmp_path: Path) -> None:
    layers = ["first.1", "norm", "attends"]
    expected, found = both(tmp_path / "run", with_convolutions, "sgd", layers=layers)
    for name, values in expected.items():
        assert [a.equal(b) for a, b in zip(values, found[name], strict=True)] == [True] * len(values), name


def spectral() -> nn.Module:
    torch.manual_seed(0)
    inner = nn.utils.parametrizations.spectral_norm(nn.Linear(72, 8))
    return nn.Sequential(nn.Flatten(), inner, nn.Tanh(), nn.Linear(8, 3))


@pytest.mark.parametrize("layers", ["all", ["1.bias"], ["3"]])
def test_a_weight_that_moves_whenever_it_is_read_is_not_read(tmp_path: Path, layers: Any) -> None:
    """spectral_norm takes a step of power iteration each time, or it is refused."""
    try:
        expected, found = both(tmp_path / "run", spectral, "sgd", layers=layers)
    except LayerError:
        return
    assert all(a.equal(b) for a, b in zip(expected["weights"], found["weights"], strict=True))


def picture(model: nn.Module) -> dict[str, Any]:
    """All of a model, of torch and of logging that somebody could have left something on."""
    modules = dict(model.named_modules())
    hooks = {(name, kind): getattr(module, kind) for name, module in modules.items() for kind in HOOKS}
    return {
        "keys": list(model.state_dict()),
        "modules": {name: sorted(vars(module)) for name, module in modules.items()},
        "hooks": {key: list(value or ()) for key, value in hooks.items()},
        "parameters": {name: (id(p), sorted(vars(p)), p.requires_grad) for name, p in model.named_parameters()},
        "parameter hooks": {name: len(p._backward_hooks or ()) for name, p in model.named_parameters()},
        "grad_sample": [name for name, p in model.named_parameters() if hasattr(p, "grad_sample")],
        "classes": {name: (type(module), vars(module).get("forward")) for name, module in modules.items()},
        "training": {name: module.training for name, module in modules.items()},
        "buffers": {name: (id(b), b._version, b.tolist()) for name, b in model.named_buffers()},
        "optimizer hooks": (len(_global_optimizer_pre_hooks), len(_global_optimizer_post_hooks)),
        "module hooks": [len(value) for name, value in vars(nn.modules.module).items() if name.startswith("_global_f")],
        "logging": (list(logging.root.handlers), logging.root.level, sorted(logging.root.manager.loggerDict)),
        "torch": (
            torch.is_grad_enabled(),
            torch.is_inference_mode_enabled(),
            torch.are_deterministic_algorithms_enabled(),
            torch.is_autocast_enabled("cpu"),
            torch.is_anomaly_enabled(),
            torch.get_default_dtype(),
            torch.get_num_threads(),
            torch.backends.mkldnn.flags,
            torch._C._autograd._saved_tensors_hooks_is_enabled(),
        ),
    }


@pytest.mark.parametrize("make", [with_convolutions, without_convolutions])
def test_the_model_is_as_it_was(tmp_path: Path, make: Callable[[], nn.Module]) -> None:
    with Trial(tmp_path / "warm", make, loops.images()) as case:  # what torch imports once, it has then imported
        case.epochs([[0, 1]], 1)
    case = Trial(tmp_path / "run", make, loops.images())
    case.model.norm.eval()
    before = picture(case.model)
    with case:
        inside = picture(case.model)
        case._twin.eval()
        for ids in BATCHES:
            F.cross_entropy(case.model(case.x[ids]), case.y[ids]).backward()
            case.recorder.step(case.y[ids], sample_ids=ids)
        case.end_epoch()
        assert picture(case.model)["training"] == before["training"]
    assert {name for name in before if inside[name] != before[name]} == {"hooks", "optimizer hooks"}
    assert {name: value for name, value in picture(case.model).items() if value != before[name]} == {}


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt()])
@pytest.mark.parametrize("moment", ["at once", "after forward", "after backward", "in forward", "after step"])
def test_the_model_is_as_it_was_after_an_exception(tmp_path: Path, error: BaseException, moment: str) -> None:
    case = Trial(tmp_path / "run", with_convolutions, loops.images())
    before = picture(case.model)

    def raises(*args: Any) -> None:
        raise error

    def interrupted() -> None:
        with case:
            if moment == "in forward":
                case.model.norm.forward = raises
            loss = None if moment == "at once" else F.cross_entropy(case.model(case.x[:4]), case.y[:4])
            if loss is not None and moment != "after forward":
                loss.backward()
            if moment == "after step":
                case.recorder.step(case.y[:4], sample_ids=range(4))
            raise error

    with pytest.raises(type(error)):
        interrupted()
    vars(case.model.norm).pop("forward", None)
    assert {name: value for name, value in picture(case.model).items() if value != before[name]} == {}
    F.cross_entropy(case.model(case.x), case.y).backward()


def test_a_graph_that_outlives_the_block_goes_backward_as_if_nothing_had_been(tmp_path: Path) -> None:
    with Trial(tmp_path / "run", loops.convnet, loops.images()) as case:
        loss = F.cross_entropy(case.model(case.x), case.y)
    loss.backward()
    plain = loops.convnet()
    F.cross_entropy(plain(case.x), case.y).backward()
    for a, b in zip(case.model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)


def saved(model: nn.Module) -> nn.Module:
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


COPIES: dict[str, Callable[[nn.Module], nn.Module]] = {
    "deepcopy": copy.deepcopy,
    "saved": saved,
    "pickled": lambda model: pickle.loads(pickle.dumps(model)),
    "averaged": lambda model: AveragedModel(model).module,
}


@pytest.mark.parametrize("make_copy", COPIES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_of_the_model_is_trained_and_not_recorded(tmp_path: Path, kind: str, make_copy: str) -> None:
    make, x = KINDS[kind]
    with Trial(tmp_path / "run", make, x()) as case:
        case.step([0, 1, 2])
        other = COPIES[make_copy](case.model)
        other.train()
        case.backward([3, 4, 5])
        F.cross_entropy(other(case.x[:6]), case.y[:6]).backward()
        case.recorder.step(case.y[3:6], sample_ids=[3, 4, 5])
        case.end_epoch()
    case.check()
    for ours, theirs in zip(case.model.state_dict().values(), other.state_dict().values(), strict=True):
        assert ours.equal(theirs)
    hooks = [hook for module in other.modules() for hook in module._forward_hooks.values()]
    assert not any(hasattr(hook, "_capture") or hasattr(hook, "_recording") for hook in hooks)
    F.cross_entropy(other(case.x), case.y).backward()


def test_two_models_recorded_in_turn_do_not_disturb_each_other(tmp_path: Path) -> None:
    cases = [Trial(tmp_path / kind, KINDS[kind][0], KINDS[kind][1]()) for kind in ("convnet", "attention")]
    with cases[0], cases[1]:
        for ids in BATCHES:
            targets = [case.backward(ids) for case in cases]
            for case, target in zip(cases, targets, strict=True):
                case.recorder.step(target, sample_ids=ids)
        for case in cases:
            case.end_epoch()
    for case in cases:
        case.check()
