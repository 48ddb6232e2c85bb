"""Early stopping while a model trains: which epoch is best so far, its weights, and whether to go on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, TypedDict

import pandas as pd
from torch import Tensor, nn

from gwa_attrib.errors import InputError, StepOrderError
from gwa_attrib.stopping.choice import Choice, Mode, Setting
from gwa_attrib.stopping.history import History
from gwa_attrib.stopping.stop_rules import chosen_rule, stopping_rules
from gwa_attrib.store.run import open_run


class Recording(Protocol):
    """The part of a recorder that is needed here."""

    model: nn.Module

    @property
    def path(self) -> Path: ...

    def epochs(self) -> pd.DataFrame: ...


class KeptWeights(TypedDict, total=False):
    """The part of a checkpoint that a stopping rule needs."""

    weights: dict[int, dict[str, object]]
    """State dicts, by epoch."""


class EarlyStopping:
    """Watches a recorder; ask it after each epoch.

    Example::

        stopper = gwa.EarlyStopping(recorder, patience=10)
        for epoch in range(epochs):
            ...
            recorder.end_epoch()
            if stopper.update():
                break
        stopper.restore()    # the weights of stopper.best_epoch

    Args:
        recorder: Of the training.
        rule: A registered stopping rule; None: "consensus" if the recorder has a probe, else "paper".
        mode: "scratch", or "finetune" for a model that was pretrained.
        patience: Epochs without a better one after which to stop; None: never (LabelWave and gradient disparity have
            their own).
        epochs: How many are planned, for the warm-up: no epoch within the first tenth is chosen. None takes those so
            far, so that the warm-up grows with the training.
        metric: For the rule "validation": which metric, as passed to `end_epoch`; large is good.
        model: Whose weights to keep; None for the recorder's model. Pass the averaged model if that is what is used.

    Raises:
        UnknownNameError: no rule of that name; the error lists them.
    """

    def __init__(
        self,
        recorder: Recording,
        rule: str | None = None,
        *,
        mode: Mode = "scratch",
        patience: int | None = None,
        epochs: int | None = None,
        metric: str = "val_accuracy",
        model: nn.Module | None = None,
    ) -> None:
        self._recorder = recorder
        self._rule = None if rule is None else stopping_rules[rule].name
        self._setting = Setting(mode, epochs, patience, metric)
        self._model = recorder.model if model is None else model
        self._states: dict[int, dict[str, object]] = {}
        self._choice: Choice | None = None

    @property
    def choice(self) -> Choice:
        """The last answer of the rule, and why.

        Raises:
            StepOrderError: `update` was not called yet.
        """
        if self._choice is None:
            raise StepOrderError(
                expected="stopper.update() after recorder.end_epoch()",
                found="no update yet",
                todo="Call it each epoch.",
            )
        return self._choice

    @property
    def best_epoch(self) -> int:
        """Number of the epoch that the rule chooses so far."""
        return self.choice.epoch

    @property
    def best_state(self) -> Mapping[str, object]:
        """The model's `state_dict` at the end of the best epoch, on the CPU.

        Raises:
            InputError: the rule has come back to an epoch whose weights were not kept.
        """
        if self.best_epoch not in self._states:
            raise InputError(
                expected=f"the weights of epoch {self.best_epoch}",
                found=f"those of epochs {sorted(self._states)}",
                todo="The rule came back to an epoch that it had passed over: pass EarlyStopping(epochs=...), so that "
                "its warm-up does not move, and call update() after every epoch.",
            )
        return self._states[self.best_epoch]

    def update(self) -> bool:
        """Ask the rule whether to stop. To be called after each `recorder.end_epoch()`.

        Raises:
            StepOrderError: no epoch has ended.
            NotRecordedError: the recorder lacks what the rule needs; the error says how it is recorded.
        """
        choice, now = self._decide()
        wanted = {choice.epoch, *choice.also}
        # Weights are large: only those of epochs that the rule may still come back to are kept.
        self._states = {epoch: state for epoch, state in self._states.items() if epoch in wanted}
        if now in wanted and now not in self._states:
            self._states[now] = {name: _kept(value) for name, value in self._model.state_dict().items()}
        return choice.stop

    def _decide(self) -> tuple[Choice, int]:
        """Ask the rule, and give the number of the epoch that ended last."""
        table = self._recorder.epochs()
        if not len(table):
            raise StepOrderError(
                expected="stopper.update() after recorder.end_epoch()", found="no epoch yet", todo="End one first."
            )
        history = History(table, open_run(self._recorder.path))
        rule = chosen_rule(self._rule, history, self._setting)
        choice: Choice = stopping_rules[rule](history, self._setting)
        self._choice = choice
        return choice, history.epochs[-1]

    @property
    def kept(self) -> tuple[int, ...]:
        """Numbers of the epochs whose weights are kept."""
        return tuple(self._states)

    def state_dict(self) -> KeptWeights:
        """The weights that are kept, by epoch: for a checkpoint of the training."""
        return {"weights": dict(self._states)}

    def load_state_dict(self, state: KeptWeights) -> None:
        """Go on from a checkpoint, with a recorder that does (``gwa.record(..., resume=True)``)."""
        self._states = dict(state["weights"])
        if len(self._recorder.epochs()):
            self._decide()

    def restore(self) -> int:
        """Put the weights of the best epoch back into the model; returns its number."""
        self._model.load_state_dict(self.best_state)
        return self.best_epoch


def _kept(value: object) -> object:
    # A copy also of what is on the CPU already: the optimizer goes on changing it in place.
    return value.detach().to("cpu", copy=True) if isinstance(value, Tensor) else value
