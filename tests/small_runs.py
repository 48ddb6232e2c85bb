"""Small recorded runs with planted label errors, made in a second or less."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

import gwa_attrib as gwa
from gwa_attrib.store import Run


def blobs(samples: int, classes: int, flipped: int, *, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Well separated clusters ``[sample, feature]``, and labels of which the first `flipped` are the next class."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(samples) % classes
    centres = 6 * torch.nn.functional.normalize(torch.randn(classes, 24, generator=generator), dim=1)
    x = centres[labels] + 0.5 * torch.randn(samples, 24, generator=generator)
    given = labels.clone()
    given[:flipped] = (given[:flipped] + 1) % classes
    return x, given


def record_run(
    path: Path,
    x: torch.Tensor,
    labels: torch.Tensor,
    names: Sequence[str],
    *,
    epochs: int = 6,
    seen: Sequence[np.ndarray] | None = None,
    zero_weights: bool = False,
    metrics: Sequence[dict[str, float]] | None = None,
    **recording: Any,
) -> Run:
    """Train logistic regression on ``x [sample, feature]`` and record it.

    Args:
        seen: Which samples are seen in each epoch; all if None.
        zero_weights: Leave the weights at zero, so that no alignment is defined.
        metrics: Of each epoch.
    """
    torch.manual_seed(0)
    model = torch.nn.Linear(x.shape[1], len(names))
    if zero_weights:
        torch.nn.init.zeros_(model.weight)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0 if zero_weights else 0.2)
    with gwa.record(model, path, num_samples=len(x), class_names=names, **recording) as recorder:
        for epoch in range(epochs):
            rows = np.arange(len(x)) if seen is None else seen[epoch]
            for ids in torch.from_numpy(rows).split(64):
                F.cross_entropy(model(x[ids]), labels[ids]).backward()
                recorder.step(labels[ids], sample_ids=ids)
                optimizer.step()
                optimizer.zero_grad()
            recorder.end_epoch(**(metrics[epoch] if metrics else {}))
    return gwa.open_run(path)
