"""A classifier trained on rows of a table, and what it says of each row in every epoch.

A row is looked at when it is trained on, before the step: nothing is computed twice, and in the first epoch the network
has not seen it yet. The residual that gives the alignment is also the gradient of the logits.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, Int64
from torch import Tensor, nn
from tqdm.auto import tqdm

from gwa_attrib.analyses.probabilities import Columns, Trajectories
from gwa_attrib.functional.alignment import head_gradient
from gwa_attrib.functional.targets import residual
from gwa_attrib.sklearn.rows import StandardisedRows

LEVELS = 256
"""One random byte decides over a number, so shares are multiples of 1/256."""


class Dropout(nn.Module):
    """Zeroes about that share of the numbers and scales the rest up, as ``nn.Dropout`` does while training.

    torch draws its numbers one by one on one core, which takes longer than a layer's matrix product; here a word of
    64 random bits serves eight of them.
    """

    def __init__(self, share: float, seed: int) -> None:
        super().__init__()
        self._below = round(share * LEVELS)
        self._random = np.random.SFC64(seed)

    def forward(self, x: Float[Tensor, "row unit"]) -> Float[Tensor, "row unit"]:
        words = self._random.random_raw(-(-x.numel() // 8))
        kept = words.view(np.uint8)[: x.numel()].reshape(x.shape) >= self._below
        dropped: Tensor = x * torch.from_numpy(kept) * (LEVELS / (LEVELS - self._below))
        return dropped


TOP = 5
"""Likeliest classes that are kept of each row, as in a run on disk."""


@dataclass(frozen=True)
class Plan:
    """A plan of the training. The learning rate rises to `learning_rate` and falls to zero (one cycle)."""

    epochs: int
    batch_size: int
    hidden: int
    """Units of the hidden layer; 0: none, the logits are linear in the row."""
    learning_rate: float


def plan_for(samples: int, hidden: int, epochs: int | None = None, batch_size: int | None = None) -> Plan:
    """A plan for so many rows; large tables need fewer epochs, those without a hidden layer the fewest, and larger
    batches.

    >>> plan_for(1_000_000, hidden=256)
    Plan(epochs=8, batch_size=1024, hidden=256, learning_rate=0.002)
    >>> plan_for(1_000_000, hidden=0).epochs
    5
    """
    usual = round(min(max(30 * (1000 / samples) ** 0.3, 8 if hidden else 5), 40))
    batch = 1 << min(10, max(4, (samples // 25).bit_length() - 1))
    return Plan(epochs or usual, min(batch_size or batch, samples), hidden, 2e-3 if hidden else 3e-3)


def record_head(
    rows: StandardisedRows,
    labels: Int64[np.ndarray, " sample"],
    classes: int,
    plan: Plan,
    *,
    seed: int,
    weight: Float[np.ndarray, " sample"] | None = None,
    progress: bool = False,
) -> Trajectories:
    """Train by cross-entropy, each row's times its `weight`. Same seed, same numbers; torch's are left alone."""
    order, steps = np.random.default_rng(seed), plan.epochs * -(-len(labels) // plan.batch_size)
    epochs: list[Columns] = []
    with torch.random.fork_rng(devices=[]), tqdm(total=steps, unit="batch", disable=not progress) as bar:
        torch.manual_seed(seed)
        network = Network(rows.table.shape[1], classes, plan, steps, seed)
        for _ in range(plan.epochs):
            columns = _columns(len(labels), classes)
            shuffled = order.permutation(len(labels))
            for start in range(0, len(labels), plan.batch_size):
                batch = shuffled[start : start + plan.batch_size]
                of_batch = None if weight is None else torch.from_numpy(weight[batch]).float()
                network.step(rows.take(batch), torch.from_numpy(labels[batch]), of_batch, columns, batch)
                bar.update()
            epochs.append(columns)
    return Trajectories(labels, tuple(range(classes)), epochs)


class Network:
    """The network and its optimizer, during one training."""

    def __init__(self, features: int, classes: int, plan: Plan, steps: int, seed: int) -> None:
        # Dropout, because nothing else keeps the hidden layer from learning the wrong labels by heart.
        self.body: nn.Module = nn.Identity()
        if plan.hidden:
            wide = nn.Linear(features, plan.hidden)
            # Another seed for each, or both would drop by the same random bytes.
            self.body = nn.Sequential(Dropout(0.2, seed), wide, nn.ReLU(), Dropout(0.5, seed + 1))
        self.head = nn.Linear(plan.hidden or features, classes)
        parameters = [*self.body.parameters(), *self.head.parameters()]
        self.optimizer = torch.optim.AdamW(parameters, plan.learning_rate, weight_decay=1e-2, fused=True)
        rise = 0.25 if steps != 4 else 0.5  # torch divides by zero where the rise is one step long
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, plan.learning_rate, total_steps=steps, pct_start=rise
        )

    def step(
        self,
        x: Float32[Tensor, "row feature"],
        labels: Int[Tensor, " row"],
        weight: Float[Tensor, " row"] | None,
        columns: Columns,
        rows: Int[np.ndarray, " row"],
    ) -> None:
        """Look at a batch, then train on it."""
        features = self.body(x)
        logits = self.head(features)
        with torch.no_grad():
            r = residual(logits, labels)
            found = head_gradient(r, features, logits, self.head.weight, self.head.bias)
            probabilities = logits.softmax(dim=1)
            _keep(columns, rows, probabilities, labels)
            columns["alignment"][rows] = found.alignment.numpy()
        logits.backward((r if weight is None else r * weight.unsqueeze(1)) / len(x))
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad()


def of_probabilities(
    probabilities: Float[np.ndarray, "sample class"], labels: Int64[np.ndarray, " sample"]
) -> Trajectories:
    """Class probabilities from elsewhere as the trajectories of one epoch, without alignments."""
    samples, classes = probabilities.shape
    columns, every = _columns(samples, classes), np.arange(samples)
    _keep(columns, every, torch.from_numpy(probabilities).float(), torch.from_numpy(labels))
    return Trajectories(labels, tuple(range(classes)), [columns])


def _columns(samples: int, classes: int) -> Columns:
    """Make room for an epoch: 23 bytes a row with five classes or more (25 with more than 256 of them)."""
    number = np.min_scalar_type(classes - 1)
    return {
        "p_label": np.empty(samples, dtype=np.float32),
        "alignment": np.full(samples, np.nan, dtype=np.float32),
        "top_class": np.empty((samples, min(TOP, classes)), dtype=number),
        "top_prob": np.empty((samples, min(TOP, classes)), dtype=np.float16),
    }


def _keep(columns: Columns, rows: Int[np.ndarray, " row"], probabilities: Tensor, labels: Tensor) -> None:
    columns["p_label"][rows] = probabilities.gather(1, labels.unsqueeze(1)).squeeze(1).numpy()
    top_prob, top_class = probabilities.topk(columns["top_class"].shape[1], dim=1)
    columns["top_prob"][rows], columns["top_class"][rows] = top_prob.numpy(), top_class.numpy()
