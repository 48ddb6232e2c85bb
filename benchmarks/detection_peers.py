"""Detectors of other papers that no package offers in a usable form, on the model of an audit."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from gwa_attrib.auditing.audited_model import AuditedModel
from gwa_attrib.auditing.models import build_model
from gwa_attrib.auditing.training import Training, seeded

Array = np.ndarray[Any, np.dtype[Any]]
NEIGHBOURS = 10
BATCH = 512


def neighbour_vote(audited: AuditedModel, neighbours: int = NEIGHBOURS) -> Array:
    """Share of a sample's nearest neighbours, itself left out, that have its label; low is suspicious.

    Cosine distance between the features under the head, as SimiFeat votes (Zhu et al. 2022, arXiv 2110.06283).
    """
    head = [module for module in audited.model.modules() if isinstance(module, torch.nn.Linear)][-1]
    kept: list[Tensor] = []
    handle = head.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0].detach()))
    audited.logits(audited.model, np.arange(len(audited.labels)))
    handle.remove()
    features = F.normalize(torch.cat(kept), dim=1)
    votes = []
    for start in range(0, len(features), BATCH):
        similarity = features[start : start + BATCH] @ features.T
        similarity[torch.arange(len(similarity)), start + torch.arange(len(similarity))] = -torch.inf
        nearest = similarity.topk(min(neighbours, len(features) - 1), dim=1).indices
        votes.append((audited.labels[nearest] == audited.labels[start : start + BATCH, None]).float().mean(dim=1))
    found: Array = torch.cat(votes).numpy()
    return found


def aum_with_threshold_samples(audited: AuditedModel, config: dict[str, Any], seed: int = 0) -> dict[str, Array]:
    """Area under the margin with threshold samples, as published (Pleiss et al. 2020, arXiv 2001.10528).

    Two trainings with an additional class, which N/(C+1) random samples are put into, others in the second: a sample is
    judged by the training in which it has its own label, and is flagged below the 99th percentile of the threshold
    samples of that training.

    Returns:
        `value` (low is suspicious) and `is_label_issue`.
    """
    labels, classes = audited.labels, audited.classes
    order = np.random.default_rng(seed).permutation(len(labels))
    share = len(labels) // (classes + 1)
    value, flagged = np.full(len(labels), np.nan), np.zeros(len(labels), dtype=bool)
    for number, threshold in enumerate((order[:share], order[share : 2 * share])):
        changed = labels.clone()
        changed[torch.from_numpy(threshold)] = classes
        margins = _mean_margins(audited, changed, classes + 1, config, seed + number)
        own = np.ones(len(labels), dtype=bool)
        own[threshold] = False
        new = own & (np.isnan(value) if number else True)
        value[new] = margins[new]
        flagged[new] = margins[new] < np.quantile(margins[threshold], 0.99)
    return {"value": value, "is_label_issue": flagged}


def _mean_margins(audited: AuditedModel, labels: Tensor, classes: int, config: dict[str, Any], seed: int) -> Array:
    shape = tuple(audited.inputs.shape[1:])
    numbers = torch.arange(len(labels))
    total = torch.zeros(len(labels))
    with seeded(seed):
        model = build_model("auto", config["kind"], shape, classes, audited.plan.width)
        training = Training(model, audited.inputs, torch.stack([labels, numbers], dim=1), audited.plan, seed)
        handle = model.register_forward_hook(lambda _, __, logits: seen.append(logits.detach()))
        for _ in range(audited.plan.epochs):
            for x, pair in training.loader:
                y, rows = pair.unbind(dim=1)
                seen: list[Tensor] = []
                training.backward(x, y)
                training.update()
                logits = seen[0]
                own = logits.gather(1, y[:, None]).squeeze(1)
                total[rows] += own - logits.scatter(1, y[:, None], -torch.inf).amax(dim=1)
        handle.remove()
    found: Array = (total / audited.plan.epochs).double().numpy()
    return found
