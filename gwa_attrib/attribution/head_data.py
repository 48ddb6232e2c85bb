"""What the head of a model sees of each sample: for attributors that need features and labels only."""

from typing import NamedTuple

import torch
from torch import Tensor

from gwa_attrib.attribution.data import Samples
from gwa_attrib.attribution.task import Task
from gwa_attrib.errors import HeadError
from gwa_attrib.hooks.forward import glimpses


class HeadData(NamedTuple):
    """float64 features ``[sample, feature]`` and integer labels."""

    features: Tensor
    labels: Tensor


def head_data(task: Task, samples: Samples, what: str) -> HeadData:
    """Input of the layer that runs last, one row a sample.

    Raises:
        HeadError: there is no such layer, or it sees something else.
    """
    head = task.head_layer
    features, labels = [], []
    for _, batch in task.passes(samples, what):
        with torch.no_grad(), glimpses(head) as seen:
            outputs, targets = task.forward(task.model, batch)
        found = seen[-1].features
        right = found.dim() == 2 and len(found) == len(outputs)
        if not right or targets.is_floating_point() or targets.dim() != 1:
            raise HeadError(
                expected="a linear head over one row of features per sample, and integer labels",
                found=f"features {list(found.shape)}, targets {targets.dtype} {list(targets.shape)}",
                todo="Choose another method; `gwa_attrib.attribution.attributors.names()` lists them.",
            )
        features.append(found.double().cpu())
        labels.append(targets.long().cpu())
    return HeadData(torch.cat(features), torch.cat(labels))
