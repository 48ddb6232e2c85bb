"""Layers under `torch.compile`: right numbers, or an error that says what to do; a number is never missing."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import layer_loops as loops
import pytest
import torch
import torch.nn.functional as F
from layer_loops import BATCHES, KINDS, Trial
from torch import Tensor, nn

from gwa_attrib.errors import GWAError

# torch's compiler warns about itself: a tensor between two graphs is looked at for a gradient.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf"),
    pytest.mark.usefixtures("without_type_checks"),
]

inductor = pytest.param(
    "inductor",
    marks=[
        pytest.mark.slow,
        pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler"),
        pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    ],
)
each_backend = pytest.mark.parametrize("backend", ["eager", "aot_eager", inductor])
each_kind = pytest.mark.parametrize("kind", KINDS)
CURE = r"compil.*(before|after|layers=\[)"


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def trial(path: Path, kind: str, **options) -> Trial:
    make, x = KINDS[kind]
    return Trial(path, make, x(), **options)


def train(case: Trial, model: nn.Module, batches: list[list[int]]) -> None:
    optimizer = torch.optim.SGD(case.model.parameters(), 0.1)
    for ids in batches:
        case.step(ids, model=model)
        optimizer.step()
        optimizer.zero_grad()
    case.end_epoch()


@each_backend
@each_kind
def test_a_model_that_is_compiled_and_given_to_record(tmp_path: Path, kind: str, backend: str) -> None:
    """`torch.compile(model)` is the model that is recorded and called."""
    make, x = KINDS[kind]
    make_compiled: Callable[[], nn.Module] = lambda: Wrapped(torch.compile(make(), backend=backend))  # noqa: E731
    with Trial(tmp_path / "run", make_compiled, x()) as case:
        case._twin = Wrapped(make()).double()
        case.right_or_refused(lambda: train(case, case.model, BATCHES), CURE)


class Wrapped(nn.Module):
    """A model with a part that is compiled; its parameters keep their names in both."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)

    def state_dict(self, *args, **options):  # type: ignore[override]
        return {name.replace("._orig_mod", ""): value for name, value in super().state_dict(*args, **options).items()}
