"""A small audited run, and models that libraries are asked about."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from gwa_attrib.auditing.audited_model import AuditedModel
from gwa_attrib.auditing.training import Plan

PLAN = Plan(2, 8, 4, "sgd", 0.05, 0.0, shift=False, flip=False)
CLASSES = 3


def audited(path: Path, fresh: "type[nn.Module] | None" = None, *, samples: int = 31, seed: int = 0) -> AuditedModel:
    """Of grey images, 6 by 6, three classes; two checkpoints with one learning rate each."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(samples) % CLASSES
    inputs = torch.randn(samples, 1, 6, 6, generator=generator) + labels.reshape(-1, 1, 1, 1)
    make = fresh or plain
    torch.manual_seed(seed)
    model = make()
    files = []
    path.mkdir(parents=True, exist_ok=True)
    for number, factor in enumerate((0.5, 1.0)):
        state = {
            name: factor * value if value.is_floating_point() else value for name, value in model.state_dict().items()
        }
        torch.save(state, path / f"{number}.pt")
        files.append(path / f"{number}.pt")
    return AuditedModel(model.eval(), inputs, labels, tuple(files), (0.3, 0.1), PLAN, make, path)


def plain() -> nn.Module:
    """What every library can do."""
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, CLASSES))


def normalised() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, CLASSES))


def grouped() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3, groups=2), nn.ReLU(), nn.Flatten(), nn.Linear(16, CLASSES)
    )


def reflecting() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, padding_mode="reflect"), nn.Flatten(), nn.Linear(144, CLASSES))


def states_of(model: nn.Module) -> list[np.ndarray]:
    return [value.numpy().copy() for value in model.state_dict().values()]
