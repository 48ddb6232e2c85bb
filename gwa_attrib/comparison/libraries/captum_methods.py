"""captum's influence, where it is exact."""

import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from gwa_attrib.attribution.of_features import head_data
from gwa_attrib.auditing.audited_model import AuditedModel
from gwa_attrib.comparison.libraries.registry import EXTRA, baselines, needs, quiet
from gwa_attrib.comparison.libraries.supported import (
    CONVOLUTIONS,
    audited_copy,
    chosen_layers,
    head_task,
    refuse_unless,
)
from gwa_attrib.scores import Scores
from gwa_attrib.value_types import Floats

BATCH = 128
DEFECT = "captum 0.9 drops or misses all but linear layers and convolutions in one group, padded with zeros by number"


@baselines.register("captum_tracin", suspect="high", source="Pruthi et al. 2020, arXiv 2002.08484, by captum")
def captum_tracin(audited: AuditedModel, *, layers: str = "head") -> Scores:
    """captum's TracInCP self-influence over the checkpoints of the run, of the head or of all layers."""
    needs("captum", EXTRA)
    from captum.influence import TracInCP

    names = chosen_layers(audited, layers, ("head", "all"))
    refuse_unless(_exact, audited, names, DEFECT)
    files = [str(path) for path in audited.checkpoints]
    rates = dict(zip(files, audited.learning_rates, strict=True))

    def load(model: nn.Module, file: str) -> float:
        model.load_state_dict(torch.load(file, weights_only=True))
        model.eval()  # it is left in training mode otherwise, in which batch normalisation mixes the samples
        return rates[file]

    theirs = TracInCP(
        audited_copy(audited),
        TensorDataset(audited.inputs, audited.labels),
        files,
        checkpoints_load_func=load,
        layers=names,
        loss_fn=nn.CrossEntropyLoss(reduction="sum"),
        batch_size=BATCH,
        sample_wise_grads_per_batch=True,
    )
    with quiet():
        return _scores(theirs.self_influence(), "captum_tracin")


@baselines.register("captum_arnoldi", suspect="high", source="Schioppa et al. 2022, arXiv 2112.03052, by captum")
def captum_arnoldi(audited: AuditedModel, *, layers: str = "head", seed: int = 0) -> Scores:
    """captum's Arnoldi self-influence of the head, which is given its own inputs so that nothing else runs."""
    needs("captum", EXTRA)
    from captum.influence._core.arnoldi_influence_function import ArnoldiInfluenceFunction

    chosen_layers(audited, layers, ("head",))
    task = head_task(audited)
    data = head_data(task, task.train, "features")
    head = nn.Sequential(task.head_layer).requires_grad_(True).float()
    with quiet(), tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "head.pt"
        torch.save(head.state_dict(), file)

        def load(model: nn.Module, path: str) -> float:
            model.load_state_dict(torch.load(path, weights_only=True))
            return 1.0

        theirs = ArnoldiInfluenceFunction(
            head,
            TensorDataset(data.features.float(), data.labels),
            str(file),
            checkpoints_load_func=load,
            loss_fn=nn.CrossEntropyLoss(reduction="sum"),
            batch_size=len(data.labels),
            sample_wise_grads_per_batch=True,
            seed=seed,
        )
        return _scores(theirs.self_influence(), "captum_arnoldi")


def _exact(module: nn.Module) -> bool:
    if isinstance(module, CONVOLUTIONS):
        return module.groups == 1 and module.padding_mode == "zeros" and not isinstance(module.padding, str)
    return isinstance(module, nn.Linear)


def _scores(values: Tensor, method: str) -> Scores:
    found: Floats = values.detach().double().numpy()
    return Scores(found, np.arange(len(found)), method=method, suspect="high")
