"""A loop of one's own, and what the tests compare with it."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gwa_attrib.recording.begin import record
from gwa_attrib.store import Run, open_run
from tests import loops
from tests.loops import SAMPLES, Classifier

EPOCHS = 3


def needs(package: str, extra: str) -> pytest.MarkDecorator:
    """Skips a module's tests without importing the package, which takes seconds, where they are collected."""
    return pytest.mark.skipif(find_spec(package) is None, reason=f"needs the extra {extra}")


def plain_run(path: Path, epochs: int = EPOCHS, *, seed: int = 1, **options: Any) -> tuple[Run, nn.Module]:
    """Recorded by the loop of the documentation, over shuffled batches."""
    model = Classifier(dropout=0.2)
    optimizer = loops.sgd(model)
    torch.manual_seed(seed)
    with record(model, path, num_samples=SAMPLES, optimizer=optimizer, **options) as recorder:
        loops.train(recorder, model, loops.loader(shuffle=True), epochs=epochs, optimizer=optimizer)
    return open_run(path), model


def plain_training(epochs: int = EPOCHS, *, seed: int = 1) -> nn.Module:
    """The same without recording."""
    model = Classifier(dropout=0.2)
    optimizer = loops.sgd(model)
    torch.manual_seed(seed)
    loader = loops.loader(shuffle=True)
    for _ in range(epochs):
        for x, y in loader:
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            optimizer.zero_grad()
    return model


def same_weights(found: nn.Module | Mapping[str, Tensor], expected: nn.Module | Mapping[str, Tensor]) -> None:
    """To the bit."""
    states = [x.state_dict() if isinstance(x, nn.Module) else x for x in (found, expected)]
    assert states[0].keys() == states[1].keys()
    for name in states[0]:
        assert torch.equal(states[0][name], states[1][name]), name
