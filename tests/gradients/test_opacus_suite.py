"""Opacus' own tests of its per-sample gradients, run against ours: the same modules, inputs and expectations.

They are shipped with Opacus and reach the implementation through `wrap_model`; here that gives a module whose
parameters get their `grad_sample` from `LayerCapture`. All pass but one kind of input: packed sequences of unequal
length, whose time steps hold fewer rows than there are samples, are refused.
"""

import importlib
import unittest
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from opacus.layers import DPLSTM
from opacus.tests.grad_samples import common
from opacus.utils import per_sample_gradients_utils
from torch import nn
from torch.nn.utils.rnn import PackedSequence

from gwa_attrib.errors import LayerError
from gwa_attrib.gradients import LayerCapture, make_plan
from gwa_attrib.gradients.capture import Listening
from gwa_attrib.gradients.layout import Layout

SUITE = (
    "conv1d",
    "conv2d",
    "conv3d",
    "dp_multihead_attention",
    "dp_rnn",
    "embedding_bag",
    "embedding_norm_sample",
    "embedding",
    "group_norm",
    "instance_norm1d",
    "instance_norm2d",
    "instance_norm3d",
    "layer_norm",
    "linear",
    "rms_norm",
    "sequence_bias",
)


class Captured(nn.Module):
    """What Opacus' tests expect of `wrap_model`: the module inside, with `grad_sample` on its parameters."""

    def __init__(self, module: nn.Module, batch_first: bool, loss_reduction: str) -> None:
        super().__init__()
        self._module = module
        self.batch_first, self.loss_reduction = batch_first, loss_reduction

    def forward(self, *args: Any) -> Any:
        plan = make_plan(self._module, "all")
        capture = LayerCapture(self._module, plan)
        samples = self.batch_size(args[0], args)
        if not self.batch_first:
            capture.known.hint = Layout.SECOND
        self._module.train()
        capture.__enter__()
        capture.listening = Listening.GRADIENTS
        out, *state = self._module(*args) if isinstance(self._module, DPLSTM) else (self._module(*args),)
        value = 1.0 * (out.data if isinstance(out, PackedSequence) else out)  # a node above all layers
        value.register_hook(lambda grad: self.begin(capture, samples))
        out = out._replace(data=value) if isinstance(out, PackedSequence) else value
        return (out, *state) if state else out

    def batch_size(self, x: Any, args: tuple[Any, ...]) -> int:
        if not isinstance(x, PackedSequence) and not x.numel():
            return 0
        if isinstance(x, PackedSequence):
            return int(x.batch_sizes[0])
        if len(args) == 2 and x.dim() == 1:
            return len(args[1])  # a bag with offsets
        return x.shape[0 if self.batch_first else 1]

    def begin(self, capture: LayerCapture, samples: int) -> None:
        capture.begin(samples, torch._C._current_autograd_node())

        def end() -> None:
            factor = samples if self.loss_reduction == "mean" else 1
            gradients = capture.take_gradients()
            for name, parameter in capture.plan.parameters.items():
                empty = parameter.new_zeros(samples, *parameter.shape)
                parameter.grad_sample = gradients.get(name, empty) * factor
            capture.__exit__(None, None, None)

        torch.autograd.Variable._execution_engine.queue_callback(end)


def wrap_model(model: nn.Module, grad_sample_mode: str, batch_first: bool = True, loss_reduction: str = "mean") -> Any:
    return Captured(model, batch_first, loss_reduction)


def cases() -> Iterator[Any]:
    for name in SUITE:
        module = importlib.import_module(f"opacus.tests.grad_samples.{name}_test")
        for thing in vars(module).values():
            if isinstance(thing, type) and issubclass(thing, unittest.TestCase) and thing.__module__ == module.__name__:
                for test in unittest.defaultTestLoader.getTestCaseNames(thing):
                    yield pytest.param(thing, test, id=f"{name}-{test}")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize(("case", "test"), list(cases()))
def test_opacus_own_test(case: type[unittest.TestCase], test: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(per_sample_gradients_utils, "wrap_model", wrap_model)
    run_test = common.GradSampleHooks_test.run_test

    def all_but_packed(self: Any, x: Any, *args: Any, **kwargs: Any) -> None:
        if not isinstance(x, PackedSequence):
            run_test(self, x, *args, **kwargs)

    monkeypatch.setattr(common.GradSampleHooks_test, "run_test", all_but_packed)
    result = unittest.TestResult()
    case(test).run(result)
    problems = [text for _, text in (*result.errors, *result.failures)]
    assert result.testsRun == 1
    assert not problems, problems[0]


def test_packed_sequences_of_unequal_length_are_refused() -> None:
    packed = nn.utils.rnn.pack_sequence([torch.randn(3, 4), torch.randn(2, 4)])
    module = Captured(DPLSTM(4, 5), batch_first=True, loss_reduction="sum")
    out, _ = module._module(packed)
    with pytest.raises(LayerError, match="layers="):
        module(packed)[0].data.sum().backward()
    assert out.data.shape == (5, 5)


def test_the_harness_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """With gradients that are a little off, Opacus' own comparison says so."""

    class Wrong(Captured):
        def begin(self, capture: LayerCapture, samples: int) -> None:
            self.loss_reduction = "sum" if self.loss_reduction == "mean" else "mean"
            super().begin(capture, samples)

    monkeypatch.setattr(
        per_sample_gradients_utils,
        "wrap_model",
        lambda model, **options: Wrong(model, options["batch_first"], options["loss_reduction"]),
    )

    class Case(common.GradSampleHooks_test):
        def test_linear(self) -> None:
            self.run_test(torch.randn(4, 3), nn.Linear(3, 2), batch_first=True)

    result = unittest.TestResult()
    Case("test_linear").run(result)
    assert result.failures
