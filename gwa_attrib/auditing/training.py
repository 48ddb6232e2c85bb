"""Training for `audit`: a plan that fits data and budget, and the loop that follows it while a recorder listens."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.data import DataLoader, RandomSampler, TensorDataset

from gwa_attrib.auditing.augment import shift_and_flip
from gwa_attrib.display.progress import TIME_LEFT, bar, stop_if_asked
from gwa_attrib.display.text import duration
from gwa_attrib.errors import InputError
from gwa_attrib.hooks.forward import calls_of
from gwa_attrib.recording.begin import record
from gwa_attrib.recording.recorder import Recorder
from gwa_attrib.store.kept import save_checkpoint

if TYPE_CHECKING:
    from tqdm.auto import tqdm

Budget = Literal["fast", "normal", "thorough"]
BATCH = 512
LONG = 300.0
"""Seconds of training from which on a faster budget is named."""
CHECKPOINTS = 5
"""How many states of the model are kept beside the run, for attribution over checkpoints."""
BUDGETS: tuple[Budget, ...] = ("fast", "normal", "thorough")


@dataclass(frozen=True)
class Plan:
    """How to train. The learning rate rises to `learning_rate` and falls to zero (one cycle)."""

    epochs: int
    batch_size: int
    width: int
    optimizer: Literal["sgd", "adamw"]
    learning_rate: float
    weight_decay: float
    shift: bool
    flip: bool


def plan_for(
    kind: str, shape: tuple[int, ...], samples: int, budget: Budget = "normal", epochs: int | None = None
) -> Plan:
    """A plan for `samples` inputs of `shape`; `epochs` overrides the budget's number of them.

    Large data sets need fewer epochs: 25 for 1,800 samples, 15 for 10,000, 9 for 60,000 (normal), half as many again
    for colour images, which take longer to learn. Images are shifted; colour images are mirrored too (letters, digits
    and X-rays, which have a handedness, are mostly grey).

    Raises:
        InputError: an unknown budget, or no epoch.
    """
    if budget not in BUDGETS or (epochs is not None and epochs < 1):
        raise InputError(
            expected=f"a budget out of {', '.join(BUDGETS)}, and at least one epoch",
            found=f"budget {budget!r} and {epochs} epochs",
            todo="Leave epochs out to take the budget's number of them.",
        )
    image, colour = kind == "image", kind == "image" and shape[0] == 3
    share = {"fast": 0.6, "normal": 1.0, "thorough": 2.0}[budget] * (1.5 if colour else 1.0)
    usual = 30 * (1000 / max(samples, 1)) ** 0.3
    return Plan(
        epochs=round(share * min(max(usual, 8), 40)) if epochs is None else epochs,
        # Some 25 batches an epoch for small data, so that there are steps enough to learn from; 128 at most.
        batch_size=1 << min(7, max(3, (samples // 25).bit_length() - 1)),
        width={"fast": 16, "normal": 32, "thorough": 48}[budget] if image else 256,
        optimizer="sgd" if image else "adamw",
        learning_rate=0.1 if image else 2e-3,
        weight_decay=5e-4 if image else 1e-2,
        shift=image,
        flip=colour,
    )


def fit(
    model: nn.Module,
    inputs: Float[Tensor, "sample ..."],
    labels: Int[Tensor, " sample"],
    plan: Plan,
    path: str | Path,
    *,
    seed: int,
    told: Callable[[float], None] | None = None,
    **recording: Any,
) -> Recorder:
    """Train `model` and record it to `path`; `recording` goes to `gwa_attrib.record`. Same seed, same numbers.

    Shows its progress on a terminal. After Ctrl-C the epochs so far can be read. `told` hears how many seconds the
    first of several epochs took.
    """
    training = Training(model, inputs, labels, plan, seed)
    recorder = record(model, path, num_samples=len(labels), optimizer=training.optimizer, **recording)
    keep = kept_epochs(plan.epochs)
    with training.progress("epoch 1") as progress, recorder:
        for epoch in range(plan.epochs):
            began, right = time.perf_counter(), 0
            progress.set_description_str(f"epoch {epoch + 1} of {plan.epochs}")
            for x, y in recorder.batches(training.loader):
                right += training.backward(x, y)
                # Before `update`: the alignment is of the weights that made the gradient.
                recorder.step(y)
                training.update()
                progress.update()
                stop_if_asked()
            summary = recorder.end_epoch(train_accuracy=right / len(labels))
            if summary.epoch in keep:
                save_checkpoint(recorder.path, summary.epoch, model.state_dict())
            progress.set_postfix(alignment=f"{summary.mean:.3f}", accuracy=f"{right / len(labels):.3f}")
            if told is not None and epoch == 0 and plan.epochs > 1:
                told(time.perf_counter() - began)
    return recorder


def train_plainly(
    model: nn.Module,
    inputs: Float[Tensor, "sample ..."],
    labels: Int[Tensor, " sample"],
    plan: Plan,
    *,
    seed: int,
    draw: int | None = None,
) -> nn.Module:
    """Train `model` as `fit` does, without recording; returns it in evaluation mode.

    With `draw`, an epoch is so many samples, each drawn again only when all have been: the steps of trainings on more
    and on fewer samples are as many.
    """
    training = Training(model, inputs, labels, plan, seed, draw)
    with training.progress("training again") as progress:
        for _ in range(plan.epochs):
            for x, y in training.loader:
                training.backward(x, y)
                training.update()
                progress.update()
    return model.eval()


def head_features(
    model: nn.Module, head: str, inputs: Float[Tensor, "sample ..."]
) -> Float[np.ndarray, "sample feature"]:
    """Features that go into the head, in evaluation mode; the model is put back into the mode that it was in."""
    training = model.training
    try:
        model.eval()
        with torch.no_grad(), calls_of(model.get_submodule(head)) as calls:
            for part in torch.split(inputs, BATCH):
                model(part)
    finally:
        model.train(training)
    return torch.cat([args[0] for args, _ in calls]).flatten(1).float().numpy()


class Training:
    """A training by a plan, a batch at a time. Same seed, same numbers."""

    def __init__(
        self, model: nn.Module, inputs: Tensor, labels: Tensor, plan: Plan, seed: int, draw: int | None = None
    ) -> None:
        self.model, self.plan = model.train(), plan
        self.optimizer = _optimizer(model, plan)
        # A generator of its own: what else draws random numbers, dropout or the recorder, must not change the order.
        shuffle = torch.Generator().manual_seed(seed)
        samples = TensorDataset(inputs, labels)
        order = RandomSampler(samples, num_samples=draw, generator=shuffle)
        self.loader = DataLoader(samples, plan.batch_size, sampler=order, generator=shuffle)
        self.steps = plan.epochs * len(self.loader)
        rise = 0.25 if self.steps != 4 else 0.5  # torch divides by zero where the rise is one step long
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, plan.learning_rate, total_steps=self.steps, pct_start=rise
        )
        # Another seed than the order: the same would make the shift of a sample depend on its place in the epoch.
        self._views = torch.Generator().manual_seed(seed + 1)

    def progress(self, what: str) -> "tqdm":
        """A bar over all batches, on a terminal."""
        return bar(what=what, total=self.steps, bar_format=TIME_LEFT)

    def backward(self, x: Tensor, y: Tensor) -> int:
        """Gradients of a batch, of another view of it; how many are predicted as labelled."""
        plan = self.plan
        logits = self.model(shift_and_flip(x, flip=plan.flip, generator=self._views) if plan.shift else x)
        F.cross_entropy(logits, y).backward()  # type: ignore[no-untyped-call]
        return int((logits.detach().argmax(dim=1) == y).sum())

    def update(self) -> None:
        """One step of the optimizer and of its learning rate."""
        self.optimizer.step()
        self.optimizer.zero_grad()
        self._schedule.step()


def kept_epochs(epochs: int, count: int = CHECKPOINTS) -> set[int]:
    """After which epochs weights are kept: evenly spaced, the last among them.

    >>> sorted(kept_epochs(25)), sorted(kept_epochs(2))
    ([4, 9, 14, 19, 24], [0, 1])
    """
    return {round(epochs * (i + 1) / min(count, epochs)) - 1 for i in range(min(count, epochs))}


def _optimizer(model: nn.Module, plan: Plan) -> torch.optim.Optimizer:
    if plan.optimizer == "sgd":
        return torch.optim.SGD(
            model.parameters(), plan.learning_rate, momentum=0.9, nesterov=True, weight_decay=plan.weight_decay
        )
    return torch.optim.AdamW(model.parameters(), plan.learning_rate, weight_decay=plan.weight_decay)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """torch's random numbers from `seed` inside the block, and as they were after it."""
    # The random numbers of the caller go on afterwards as if nothing had been drawn.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def estimate(first: float, plan: Plan, kind: str, shape: Sequence[int], samples: int, budget: Budget) -> str:
    """How long `plan` will take, whose first epoch took `first` seconds; and, if that is long, a faster budget.

    A faster budget has fewer epochs, whose number its plan says; where its model is narrower, an epoch of it takes
    less than one of this training, and its time is an upper bound.

    >>> plan = plan_for("table", (30,), 5000)
    >>> estimate(2.0, plan, "table", (30,), 5000, "normal")
    'about 38 seconds for 19 epochs'
    """
    seconds = first * plan.epochs
    said = f"about {duration(seconds)} for {plan.epochs} epochs"
    faster = _faster(plan, kind, shape, samples, budget)
    if seconds <= LONG or faster is None:
        return said
    name, other = faster
    at_most = "at most " if other.width < plan.width else "about "
    return f"{said}; --budget {name} has {other.epochs} epochs, {at_most}{duration(first * other.epochs)}"


def _faster(plan: Plan, kind: str, shape: Sequence[int], samples: int, budget: Budget) -> tuple[Budget, Plan] | None:
    """The fastest budget and its plan, if it is another one with fewer epochs."""
    other = plan_for(kind, tuple(shape), samples, BUDGETS[0])
    return (BUDGETS[0], other) if budget != BUDGETS[0] and other.epochs < plan.epochs else None
