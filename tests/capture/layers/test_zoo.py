"""The models that the capture is measured on: every parameter of every sample, against the loop."""

from pathlib import Path

import pytest
import torch

from capture.layers.oracle import Arguments, assert_exact

ROOT = Path(__file__).parents[3]
SAMPLES = 4


def entry(name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[torch.nn.Module, Arguments]:
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.zoo import ZOO

    found = ZOO[name]()
    return found.model.train(), (found.inputs(SAMPLES),)


@pytest.mark.slow
@pytest.mark.parametrize("swaps", [True, False])
@pytest.mark.parametrize("name", ["mlp", "resnet", "convnext", "vit"])
def test_a_model_of_the_zoo_is_exact(name: str, swaps: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    model, inputs = entry(name, monkeypatch)
    assert_exact(model, *inputs, swaps=swaps, settled=inputs)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_the_text_encoder_of_the_zoo_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transformers")
    model, inputs = entry("text", monkeypatch)
    assert_exact(model, *inputs, settled=inputs)
