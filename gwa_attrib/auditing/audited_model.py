"""The model and the training samples of an audited run, as they were: for methods that need more than the run."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from gwa_attrib.auditing.models import build_model, trusted_model
from gwa_attrib.auditing.training import Plan, seeded, train_plainly
from gwa_attrib.datasets import encode
from gwa_attrib.datasets.again import read_again
from gwa_attrib.errors import NotRecordedError
from gwa_attrib.files.places import local
from gwa_attrib.store.kept import checkpoints, kept_embeddings
from gwa_attrib.store.run import Run
from gwa_attrib.store.run_json import AuditNotes
from gwa_attrib.value_types import Ints

BATCH = 512


@dataclass(frozen=True)
class AuditedModel:
    """The model that an audit trained, with its data."""

    model: nn.Module
    """With the weights at the end of the training."""
    inputs: Tensor
    labels: Tensor
    checkpoints: tuple[Path, ...]
    """State dicts, oldest first; the last is the model's own."""
    learning_rates: tuple[float, ...]
    """In the epoch that ended with each checkpoint: the mean."""
    plan: Plan
    """How it was trained."""
    fresh: Callable[[], nn.Module]
    """A model of the same kind, with new weights."""
    path: Path
    """The folder of the run."""
    draw: int | None = None
    """How many samples make an epoch when it is trained again, see `train_plainly`; None: those it is trained on."""

    @property
    def classes(self) -> int:
        """How many the model tells apart."""
        with torch.no_grad():
            return int(self.model(self.inputs[:1]).shape[1])

    def train_again(self, kept: Ints, seed: int) -> nn.Module:
        """A fresh model trained in the same way on the samples at positions `kept`; in evaluation mode."""
        ids = torch.from_numpy(kept)
        with seeded(seed):
            return train_plainly(self.fresh(), self.inputs[ids], self.labels[ids], self.plan, seed=seed, draw=self.draw)

    def logits(self, model: nn.Module, kept: Ints) -> Tensor:
        """Ask a model in evaluation mode for the samples at positions `kept`: logits ``[sample, class]``."""
        with torch.no_grad():
            return torch.cat([model(part) for part in torch.split(self.inputs[torch.from_numpy(kept)], BATCH)])

    def train_and_ask(self, kept: Ints, asked: Ints, seed: int) -> Tensor:
        """Train again on the samples at positions `kept` alone, and ask for those at `asked`: ``[asked, class]``.

        The one way in which a counterfactual is measured on an audited run: what is taken out, relabelled or asked in
        addition is a matter of `kept`, and of another `labels` or `inputs` (``dataclasses.replace``).
        """
        return self.logits(self.train_again(kept, seed), asked)


def load_audited_model(run: Run) -> AuditedModel:
    """Rebuilt from the run.

    Raises:
        NotRecordedError: the run is none of an audit, kept no weights, or its data cannot be read any more.
        UntrustedModelError: run.json names a function that nobody here has asked for.
    """
    data, note = read_again(run)
    if data is None:
        raise NotRecordedError(expected="the training samples of the run", found=note, todo="Audit the data again.")
    states = checkpoints(local(run.path, "the run"))
    if not states:
        raise NotRecordedError(
            expected="weights of the model beside the run",
            found="none: its training was interrupted before the first were kept"
            if run.info.get("status") == "interrupted"
            else "none: it was audited by an earlier version",
            todo="Audit the data again.",
        )
    notes = AuditNotes.read(run.info)
    inputs = encode(data, kept_embeddings(run))
    shape = tuple(inputs.shape[1:])
    plan, spec = _plan(notes), trusted_model(str(notes.model))

    def fresh() -> nn.Module:
        return build_model(spec, data.kind, shape, len(data.class_names), plan.width)

    model = fresh()
    model.load_state_dict(torch.load(states[max(states)], weights_only=True))
    rates = np.nanmean(run.trajectory("learning_rate"), axis=1)
    of_epoch = dict(zip(run.epoch_numbers, rates.tolist(), strict=True))
    return AuditedModel(
        model.eval(),
        inputs,
        torch.from_numpy(data.labels),
        tuple(states.values()),
        tuple(of_epoch[epoch] for epoch in states),
        plan,
        fresh,
        run.path,
    )


def _plan(notes: AuditNotes) -> Plan:
    try:
        return Plan(**(notes.plan or {}))
    except TypeError as error:
        raise NotRecordedError(
            expected="the plan of the training in run.json",
            found="none" if notes.plan is None else f"{type(error).__name__}: {error}",
            todo="Audit the data again.",
        ) from error
