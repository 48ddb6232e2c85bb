"""A stopping rule in the hands of a framework."""

from collections.abc import Mapping, Sequence
from typing import Any

from gwa_attrib.errors import InputError, StepOrderError
from gwa_attrib.recording.recorder import Recorder
from gwa_attrib.stopping import EarlyStopping
from gwa_attrib.stopping.early_stopping import KeptWeights


class Stopper:
    """A stopping rule that is asked once after each recorded epoch. `options` as of `gwa_attrib.EarlyStopping`."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options
        self._recorder: Recorder | None = None
        self._early: EarlyStopping | None = None
        self._restored: KeptWeights | None = None
        self._asked = 0

    @property
    def best_epoch(self) -> int:
        """Number of the epoch that the rule chooses so far."""
        return self._begun().best_epoch

    def begin(self, recorder: Recorder) -> None:
        """Begin with a training, or with one that goes on from a checkpoint."""
        self._recorder, self._early = recorder, EarlyStopping(recorder, **self._options)
        self._asked = len(recorder.epochs())
        if self._restored:
            self._early.load_state_dict(self._restored)
        self._restored = None

    def update(self) -> bool:
        """Ask whether to stop; False where no epoch has ended since the last call."""
        early = self._begun()
        ended = len(self._recorder.epochs()) if self._recorder is not None else 0
        if ended == self._asked:
            return False
        self._asked = ended
        return early.update()

    def restore(self) -> None:
        """Put the weights of the best epoch back into the model; nothing where no epoch has ended."""
        early = self._begun()
        if early.kept:
            early.restore()

    def state_dict(self) -> KeptWeights:
        """Return the weights that are kept, by epoch."""
        return {} if self._early is None else self._early.state_dict()

    def load_state_dict(self, state: KeptWeights) -> None:
        """Take the weights of a training that goes on from a checkpoint; to be called before `begin`."""
        self._restored = {**state}

    def _begun(self) -> EarlyStopping:
        if self._early is None:
            raise StepOrderError(expected="a training that has begun", found="none", todo="Train first.")
        return self._early


def check_order(callbacks: Sequence[object], recording: object, stopping: object) -> None:
    """Raise InputError unless the epoch is recorded before the rule is asked."""
    if recording not in callbacks or callbacks.index(recording) > callbacks.index(stopping):
        raise InputError(
            expected="GWAEarlyStopping after the callback that records",
            found="it before it, or alone",
            todo="Pass callbacks=[recording, GWAEarlyStopping(recording)].",
        )
