"""Weights of a model that were kept beside a run: state dicts, one file for an epoch."""

import re
from collections.abc import Mapping
from typing import Any

from gwa_attrib.files.places import Place
from gwa_attrib.files.whole import whole_file
from gwa_attrib.store.schema import CHECKPOINTS

_NAME = re.compile(r"epoch=([0-9]{5,})\.pt")


def checkpoint_epoch(path: Place) -> int | None:
    """Number of the epoch after which the weights were kept; None for another file."""
    match = _NAME.fullmatch(path.name)
    return int(match.group(1)) if match else None


def save_checkpoint(root: Place, epoch: int, state: Mapping[str, Any]) -> Place:
    """Keep a state dict, whole or not at all.

    Raises:
        RunError: it cannot be written.
    """
    import torch

    target = root / CHECKPOINTS / f"epoch={epoch:05d}.pt"
    with whole_file(target, within=root) as half:
        torch.save(dict(state), half)
    return target


def is_finished(root: Place, info: Mapping[str, Any]) -> bool:
    """Whether an audit has trained to its end and kept its model there, which training again needs."""
    return "data" in info["config"] and info.get("status") == "complete" and bool(checkpoints(root))


def checkpoints(root: Place) -> dict[int, Place]:
    """Files by the number of the epoch, ascending. Load them with ``torch.load(file, weights_only=True)``."""
    found = {checkpoint_epoch(path): path for path in (root / CHECKPOINTS).glob("*.pt")}
    return {epoch: found[epoch] for epoch in sorted(epoch for epoch in found if epoch is not None)}
