"""Loops that accelerate has prepared, recorded."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import gwa_attrib as gwa
from gwa_attrib.errors import InputError
from tests import loops
from tests.integrations.plain import needs, plain_run, plain_training, same_weights
from tests.loops import SAMPLES, Classifier

pytestmark = needs("accelerate", "hf")


def train(path: Path | None, *, accumulate: int = 1, epochs: int = 3, **options: Any) -> Any:
    """The weights after a training of the prepared loop; recorded if there is a path."""
    from accelerate import Accelerator

    from gwa_attrib.integrations.accelerate import batches

    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=accumulate)
    model = Classifier(dropout=0.2)
    model, optimizer, loader = accelerator.prepare(
        model, loops.sgd(model), loops.loader(shuffle=True, **options.pop("loader", {}))
    )
    torch.manual_seed(1)
    if path is None:
        for _ in range(epochs):
            for x, y in loader:
                with accelerator.accumulate(model):
                    accelerator.backward(F.cross_entropy(model(x), y))
                    optimizer.step()
                    optimizer.zero_grad()
        return accelerator.unwrap_model(model)
    plain = accelerator.unwrap_model(model)
    with gwa.record(plain, path, num_samples=SAMPLES, optimizer=optimizer, **options) as recorder:
        for _ in range(epochs):
            for x, y in batches(recorder, loader):
                with accelerator.accumulate(model):
                    accelerator.backward(F.cross_entropy(model(x), y))
                    recorder.step(y)
                    optimizer.step()
                    optimizer.zero_grad()
            summary = recorder.end_epoch()
            accelerator.log({"gwa": summary.gwa})
    return plain


def test_the_numbers_and_the_weights_are_those_of_a_plain_loop(tmp_path: Path) -> None:
    model = train(tmp_path / "run")
    expected, _ = plain_run(tmp_path / "expected")
    loops.same_observations(gwa.open_run(tmp_path / "run"), expected)
    same_weights(model, plain_training())


@pytest.mark.parametrize("accumulate", [2, 3])
def test_it_is_trained_as_without_recording(accumulate: int, tmp_path: Path) -> None:
    """Four batches an epoch: with three to accumulate, the gradients of the last are applied because it is the last."""
    options = {"loader": {"num_workers": 2}}
    plain = train(None, accumulate=accumulate, **options)
    same_weights(train(tmp_path / "run", accumulate=accumulate, probe=8, **options), plain)
    assert gwa.open_run(tmp_path / "run").epochs()["coverage"].tolist() == [1.0] * 3


def test_a_loader_that_is_not_prepared_is_refused(tmp_path: Path) -> None:
    from accelerate import Accelerator

    from gwa_attrib.integrations.accelerate import batches

    with gwa.record(Classifier(), tmp_path / "run", num_samples=SAMPLES) as recorder:
        with pytest.raises(InputError, match=r"accelerator\.prepare"):
            next(batches(recorder, loops.loader()))
        prepared = Accelerator(cpu=True).prepare(loops.loader())
        with pytest.raises(InputError, match=r"integrations\.accelerate"):
            recorder.batches(prepared)
