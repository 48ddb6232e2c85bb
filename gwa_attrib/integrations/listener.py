"""A recorder in the hands of a framework that owns the training loop."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor
from torch.utils.data import DataLoader

from gwa_attrib.errors import StepOrderError
from gwa_attrib.recording.arguments import checked_metrics
from gwa_attrib.recording.batches import Batches, IdentifiedWorker
from gwa_attrib.recording.recorder import Recorder
from gwa_attrib.store.summaries import COLUMNS, EpochSummary
from gwa_attrib.value_types import Ints


class Listener:
    """A recorder whose batches may be read ahead of their step: the ids wait in the order of the batches."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self._waiting: deque[Tensor] = deque()
        self._ids: Tensor | None = None
        self._steps = 0
        self._open = True

    def tap(self, loader: DataLoader[object]) -> "Tap":
        """Return the batches of `loader`, unchanged; their ids wait for `begin_batch`."""
        return Tap(loader, self.recorder.batches(loader), self._waiting)

    def begin_batch(self) -> None:
        """Take the ids of the batch that is trained on now."""
        self._ids = self._waiting.popleft() if self._waiting else None

    def step(self, targets: Tensor) -> None:
        """Record the batch, which has just gone backward.

        Raises:
            StepOrderError: a second backward pass of the batch.
            RecordingError, InputError: see `Recorder.step`.
        """
        ids, self._ids = self._ids, None
        if ids is None:
            raise StepOrderError(
                expected="one backward pass for each batch of the loader that trains",
                found="another one (LBFGS or a second loss?), or a batch from elsewhere",
                todo="Record with gwa.record and recorder.step(targets, sample_ids=ids) in a loop of your own.",
            )
        self.recorder.step(targets, sample_ids=ids)
        self._steps += 1

    def end_epoch(self, metrics: Mapping[str, object]) -> EpochSummary | None:
        """Write the epoch, if anything was recorded in it; of `metrics` those that are numbers with free names."""
        if not self._steps:
            return None
        self._steps = 0
        return self.recorder.end_epoch(**numbers(metrics))

    def close(self, error: BaseException | None = None) -> None:
        """Close the recorder: the training is over, or was cut off by `error`. Once is enough."""
        if not self._open:
            return
        self._open = False
        self.recorder.__exit__(None if error is None else type(error), error, None)


class Tap:
    """A stand-in that looks like `loader` to a framework; its batches leave their ids in `waiting`."""

    def __init__(self, loader: DataLoader[object], batches: Batches, waiting: deque[Tensor]) -> None:
        self._loader, self._batches, self._waiting = loader, batches, waiting

    def __getattr__(self, name: str) -> Any:
        if name == "_loader":
            raise AttributeError(name)  # of a copy in the making
        return getattr(self._loader, name)

    @property
    def worker_init_fn(self) -> Callable[[int], None] | None:
        """The user's own; Lightning sets it late, to seed the workers."""
        return self._loader.worker_init_fn

    @worker_init_fn.setter
    def worker_init_fn(self, function: Callable[[int], None] | None) -> None:
        self._loader.worker_init_fn = function
        self._batches.loader.worker_init_fn = IdentifiedWorker(function)

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[object]:
        """Make the loader's own iterator at once, where a framework expects its random numbers to be drawn."""
        # The ids of batches that were read ahead and never trained on.
        self._waiting.clear()
        return map(self._hand_out, iter(self._batches.loader))

    def _hand_out(self, item: tuple[Ints, object]) -> object:
        positions, batch = item
        if batch is not None:  # frameworks skip those
            self._waiting.append(self._batches.ids(positions))
        return batch


def logged(summary: EpochSummary) -> dict[str, float]:
    """Return the numbers that go to the framework's logger after an epoch."""
    return {
        "gwa": summary.gwa,
        "mean_alignment": summary.mean,
        "fraction_negative": summary.fraction_negative,
        "coverage": summary.coverage,
    }


LOGGED = ("gwa", "mean_alignment", "fraction_negative", "coverage")


def numbers(metrics: Mapping[str, object]) -> dict[str, Any]:
    """Return the framework's metrics that can be stored with the epoch: not our own, and not by a name of ours."""
    free = {name: value for name, value in metrics.items() if name not in (*LOGGED, *COLUMNS)}
    return checked_metrics(free, ())
