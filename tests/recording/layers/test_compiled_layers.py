"""Layers under `torch.compile`: right numbers, or an error that says what to do; a number is never missing."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gwa_attrib.errors import RecordingError
from gwa_attrib.recording.begin import record
from tests import layer_loops as loops
from tests.layer_loops import BATCHES, KINDS, Trial

# torch's compiler warns about itself: a tensor between two graphs is looked at for a gradient.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf"),
    pytest.mark.usefixtures("without_type_checks"),
]
CURE = r"compil|layers=\["
QUICK = [("eager", "convnet"), ("aot_eager", "mlp"), ("aot_eager", "attention")]


def cases(quick: list[tuple[str, str]]) -> Any:
    """Every backend and kind of model; all but a few are slow."""
    inductor = [
        pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler"),
        pytest.mark.filterwarnings("ignore::DeprecationWarning"),
        pytest.mark.filterwarnings("ignore::FutureWarning"),
    ]
    found = []
    for backend in ("eager", "aot_eager", "inductor"):
        for kind in KINDS:
            marks = [] if (backend, kind) in quick else [pytest.mark.slow]
            found.append(pytest.param(backend, kind, marks=marks + (inductor if backend == "inductor" else [])))
    return pytest.mark.parametrize(("backend", "kind"), found)


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def trial(path: Path, kind: str, **options: Any) -> Trial:
    make, x = KINDS[kind]
    return Trial(path, make, x(), **options)


def train(case: Trial, model: nn.Module, batches: list[list[int]] = BATCHES) -> None:
    optimizer = torch.optim.SGD(case.model.parameters(), 0.1)
    for ids in batches:
        case.step(ids, model=model)
        optimizer.step()
        optimizer.zero_grad()
    case.end_epoch()


@cases(QUICK)
def test_recording_that_begins_before_the_first_compiled_call(tmp_path: Path, backend: str, kind: str) -> None:
    with trial(tmp_path / "run", kind) as case:
        compiled = torch.compile(case.model, backend=backend)
        case.right_or_refused(lambda: train(case, compiled), CURE)


@cases([])
def test_recording_that_begins_after_compiled_calls(tmp_path: Path, backend: str, kind: str) -> None:
    """Validation, and a step of training."""
    case = trial(tmp_path / "run", kind)
    compiled = torch.compile(case.model, backend=backend)
    compiled.eval()
    with torch.no_grad():
        compiled(case.x[:4])
    compiled.train()
    F.cross_entropy(compiled(case.x[:4]), case.y[:4]).backward()
    case.model.zero_grad()
    with case:
        case.right_or_refused(lambda: train(case, compiled), CURE)


@cases([("eager", "mlp"), ("aot_eager", "convnet"), ("eager", "attention")])
def test_a_compiled_model_that_is_given_to_record(tmp_path: Path, backend: str, kind: str) -> None:
    with trial(tmp_path / "first", kind) as case:
        compiled = torch.compile(case.model, backend=backend)
    case.recorder = record(compiled, tmp_path / "run", num_samples=loops.SAMPLES, layers="all")
    with case:
        case.right_or_refused(lambda: named(case, lambda: train(case, compiled)), CURE)


def named(case: Trial, train: Callable[[], None]) -> None:
    """Names of parameters as a compiled model has them."""
    train()
    case.truths = [
        truth._replace(
            gradients={f"_orig_mod.{name}": value for name, value in truth.gradients.items()},
            weights={f"_orig_mod.{name}": value for name, value in truth.weights.items()},
        )
        for truth in case.truths
    ]


@cases([("eager", "mlp")])
def test_a_model_that_is_compiled_in_place(tmp_path: Path, backend: str, kind: str) -> None:
    with trial(tmp_path / "run", kind) as case:
        case.model.compile(backend=backend)
        case.right_or_refused(lambda: train(case, case.model), CURE)


@cases([("eager", "sequence"), ("aot_eager", "convnet"), ("aot_eager", "attention")])
@pytest.mark.parametrize("which", [0, -2], ids=["first part", "part before the head"])
def test_parts_of_a_model_that_are_compiled(tmp_path: Path, backend: str, kind: str, which: int) -> None:
    with trial(tmp_path / "run", kind) as case:
        parts = [module for module in case.model.children() if list(module.parameters())]
        parts[which].compile(backend=backend)
        case.right_or_refused(lambda: train(case, case.model), CURE)


def test_validation_between_epochs_of_a_compiled_model(tmp_path: Path) -> None:
    with trial(tmp_path / "run", "mlp") as case:
        compiled = torch.compile(case.model, backend="aot_eager")

        def both() -> None:
            for _ in range(2):
                train(case, compiled)
                compiled.eval()
                with torch.no_grad():
                    compiled(case.x[:5])
                compiled.train()

        case.right_or_refused(both, CURE)


def test_after_recording_a_compiled_model_still_trains(tmp_path: Path) -> None:
    with trial(tmp_path / "run", "convnet") as case:
        compiled = torch.compile(case.model, backend="eager")
        train(case, compiled)
    F.cross_entropy(compiled(case.x), case.y).backward()
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in case.model.modules())


def test_the_check_of_the_first_batch_is_not_compiled(tmp_path: Path) -> None:
    """It runs the model a few times; to compile the check itself costs far more than that, and is of use once."""
    with trial(tmp_path / "run", "mlp") as case:
        traced: list[str] = []

        def backend(graph: torch.fx.GraphModule, inputs: Any) -> Any:
            traced.append(str(graph.graph))
            return graph.forward

        train(case, torch.compile(case.model, backend=backend))
    functions = [name for text in traced for name in ("linspace", "square", "isfinite") if name in text]
    assert functions == []


@pytest.mark.parametrize("layers", ["head", "all"])
@pytest.mark.parametrize("how", ["after", "passed", "in place"])
def test_a_full_graph_is_refused_with_the_cure(tmp_path: Path, how: str, layers: str) -> None:
    model = loops.mlp()
    x, y = loops.vectors(), loops.labels()

    def train(path: Path, **options: Any) -> None:
        given = torch.compile(model, backend="eager", **options) if how == "passed" else model
        with record(given, path, num_samples=len(y), layers=layers) as recorder:
            compiled = torch.compile(model, backend="eager", **options) if how == "after" else given
            if how == "in place":
                model.compile(backend="eager", **options)
            F.cross_entropy(compiled(x), y).backward()
            recorder.step(y, sample_ids=range(len(y)))
            recorder.end_epoch()

    with pytest.raises(RecordingError, match="without fullgraph=True"):
        train(tmp_path / "refused", fullgraph=True)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    train(tmp_path / "run")
