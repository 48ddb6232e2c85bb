"""The model and the training samples of an audited run, as they were: for methods that need more than the run."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gwa_attrib.auditing.models import build_model, trusted_model
from gwa_attrib.auditing.training import Plan, seeded, train_plainly
from gwa_attrib.datasets import encode
from gwa_attrib.datasets.again import read_again
from gwa_attrib.errors import NotRecordedError
from gwa_attrib.files.places import local
from gwa_attrib.store.kept import checkpoints
from gwa_attrib.store.kept import kept_embeddings
from gwa_attrib.store.run import Run

BATCH = 512


@dataclass(frozen=True)
class AuditedModel:
    """What the audit trained, and on what."""

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

    @property
    def classes(self) -> int:
        """How many the model tells apart."""
        with torch.no_grad():
            return int(self.model(self.inputs[:1]).shape[1])

    def train_again(self, kept: np.ndarray[Any, np.dtype[np.int64]], seed: int) -> nn.Module:
        """A fresh model trained in the same way on the samples at positions `kept`; in evaluation mode."""
        ids = torch.from_numpy(kept)
        return self.trained_on(self.inputs[ids], self.labels[ids], seed)

    def trained_on(self, inputs: Tensor, labels: Tensor, seed: int, *, draw: int | None = None) -> nn.Module:
        """As `train_again`, on any samples; `draw` of them make an epoch, see `train_plainly`."""
        with seeded(seed):
            return train_plainly(self.fresh(), inputs, labels, self.plan, seed=seed, draw=draw)

    def logits(self, model: nn.Module, kept: np.ndarray[Any, np.dtype[np.int64]]) -> Tensor:
        """What a model in evaluation mode says of the samples at positions `kept`."""
        return self.answers(model, self.inputs[torch.from_numpy(kept)])

    def answers(self, model: nn.Module, inputs: Tensor) -> Tensor:
        """What a model in evaluation mode says of samples, ``[sample, class]``."""
        with torch.no_grad():
            return torch.cat([model(part) for part in torch.split(inputs, BATCH)])


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
    config: dict[str, Any] = run.info["config"]
    inputs = encode(data, kept_embeddings(run))
    shape = tuple(inputs.shape[1:])
    plan, spec = _plan(config), trusted_model(str(config.get("model")))

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


def _plan(config: dict[str, Any]) -> Plan:
    try:
        return Plan(**config["plan"])
    except (KeyError, TypeError) as error:
        raise NotRecordedError(
            expected="the plan of the training in run.json",
            found=f"{type(error).__name__}: {error}",
            todo="Audit the data again.",
        ) from error
