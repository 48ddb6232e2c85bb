"""The doctor: which parts of a model can be recorded, how each is covered, and the proof, before any training."""

import copy
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from gwa_attrib.display.notebook import small_html
from gwa_attrib.errors import GWAError, InputError
from gwa_attrib.gradients import LayerCapture, make_capture, make_plan
from gwa_attrib.gradients.blocks import blocks_of
from gwa_attrib.gradients.self_check import Inputs, batch_size, check, tolerance


@dataclass(frozen=True)
class Finding:
    """The finding about one block of a model."""

    block: str
    parameters: int
    """Trainable numbers in it."""
    how: str
    """The rules that cover it, and how often each does."""
    deviation: float
    """Largest deviation of captured gradient norms and products from a loop over single samples, relative; NaN where it
    could not be measured."""
    problem: str
    """Why the block cannot be recorded, and what to do; empty if it can."""


@dataclass(frozen=True)
class Diagnosis:
    """The findings of `doctor` about a model."""

    findings: tuple[Finding, ...]
    tolerance: float
    """Deviation up to which a block is right."""

    @property
    def healthy(self) -> bool:
        """True where every block can be recorded."""
        return not any(finding.problem for finding in self.findings)

    @property
    def recordable(self) -> list[str]:
        """Names of the blocks that can be recorded: what to pass as ``layers=``."""
        return [finding.block for finding in self.findings if not finding.problem]

    def to_frame(self) -> pd.DataFrame:
        """Return one row a block."""
        return pd.DataFrame([vars(finding) for finding in self.findings])

    def _repr_html_(self) -> str:
        verdict = "every block can be recorded" if self.healthy else "not every block can be recorded"
        facts = {"blocks": len(self.findings), "recordable": len(self.recordable), "tolerance": self.tolerance}
        bad_first = sorted(self.findings, key=lambda finding: not finding.problem)
        table = pd.DataFrame([vars(finding) for finding in bad_first])
        return small_html(f"Diagnosis: {verdict}", facts, table, what="blocks, those with a problem first")


def doctor(model: nn.Module, inputs: object, *, layers: str | Sequence[str] = "all", engine: str = "auto") -> Diagnosis:
    """Check on a copy of `model` which of its blocks ``gwa.record(..., layers=...)`` can record, and how exactly.

    Args:
        model: As it is trained; it is not changed.
        inputs: One batch of at least 2 samples (more settle more): a tensor, a tuple of arguments, or a dict of keyword
            arguments.
        layers: "all", or names of modules or parameters.
        engine: "auto", "ghost" or "opacus".

    Raises:
        InputError: no batch of inputs, or names that are not in the model.
    """
    args, kwargs = _arguments(inputs)
    samples = batch_size(args, kwargs)
    if samples < 2:
        raise InputError(
            expected="a batch of at least 2 samples",
            found=f"{samples}",
            todo="Pass the inputs of one training batch: a tensor, a tuple of arguments or a dict of keywords.",
        )
    groups = blocks_of(model) if layers == "all" else make_plan(model, layers).groups
    given = Inputs(args, kwargs, samples)
    return Diagnosis(
        tuple(_finding(model, block, members, given, engine) for block, members in groups.items()), tolerance(model)
    )


def _arguments(inputs: object) -> tuple[tuple[object, ...], dict[str, object]]:
    if isinstance(inputs, Mapping):
        return (), dict(inputs)
    return (tuple(inputs), {}) if isinstance(inputs, tuple | list) else ((inputs,), {})


def _finding(model: nn.Module, block: str, members: tuple[str, ...], inputs: Inputs, engine: str) -> Finding:
    """Measure one block alone on a fresh copy of the model."""
    # A training pass moves buffers, and a block that fails must not spoil the next.
    patient = copy.deepcopy(model)
    parameters = dict(patient.named_parameters())
    size, deviation, how = sum(parameters[name].numel() for name in members), float("nan"), ""
    try:
        capture = make_capture(patient, [block], engine)
        how = _coverage(capture)
        with capture:
            deviation = max(found.worst for found in check(patient, capture, inputs))
            _train_once(patient, capture, inputs)
    except GWAError as error:
        return Finding(block, size, how, deviation, str(error))
    return Finding(block, size, how, deviation, "")


def _coverage(capture: LayerCapture) -> str:
    """Count layers by rule, and parameters found in the graph: "convolution 2, group norm 2, autograd graph 1"."""
    plan = capture.plan
    rules = Counter("Opacus" if layer in capture.by_others else rule for layer, rule in plan.how.items())
    held = {name for layer in plan.layers for name in plan.parameters_of(layer)}
    in_graph = len(set(plan.parameters) - held)
    return ", ".join(f"{rule} {count}" for rule, count in [*rules.items(), ("autograd graph", in_graph)] if count)


def _train_once(model: nn.Module, capture: LayerCapture, inputs: Inputs) -> None:
    """Run a forward and backward pass in training mode: batch norms mix here, and the samples have to add up."""
    model.train()
    with torch.enable_grad():
        output = model(*inputs.args, **inputs.kwargs)
        loss = sum(t.square().sum() for t in tree_leaves(output) if isinstance(t, Tensor) and t.requires_grad)
        if isinstance(loss, Tensor):
            capture.begin(inputs.samples, loss.grad_fn, totals=True)
            loss.backward()  # type: ignore[no-untyped-call]
    capture.take()
