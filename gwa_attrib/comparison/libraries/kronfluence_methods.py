"""kronfluence's EK-FAC, where it is exact."""

import tempfile

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from gwa_attrib.auditing.audited_model import AuditedModel
from gwa_attrib.auditing.training import seeded
from gwa_attrib.comparison.libraries.registry import EXTRA, baselines, needs, quiet
from gwa_attrib.comparison.libraries.supported import audited_copy, chosen_layers, refuse_unless
from gwa_attrib.scores import Scores

BATCH = 128
DEFECT = "kronfluence 1.0 leaves out all but linear layers and 2-D convolutions, and is right for one group and zeros"


@baselines.register("kronfluence_ekfac", suspect="high", source="Grosse et al. 2023, arXiv 2308.03296, by kronfluence")
def kronfluence_ekfac(audited: AuditedModel, *, layers: str = "head", seed: int = 0) -> Scores:
    """kronfluence's EK-FAC self-influence, of the head or of all linear layers and convolutions.

    Damped by a tenth of the mean eigenvalue of each layer.
    """
    needs("kronfluence", f"{EXTRA} && pip install --no-deps kronfluence")
    from kronfluence.analyzer import Analyzer, prepare_model
    from kronfluence.arguments import FactorArguments, ScoreArguments
    from kronfluence.task import Task

    names = chosen_layers(audited, layers, ("head", "linear"))
    refuse_unless(_exact, audited, names, DEFECT)

    class Classification(Task):  # type: ignore[misc]
        def compute_train_loss(self, batch: list[Tensor], model: nn.Module, sample: bool = False) -> Tensor:
            outputs = model(batch[0])
            labels = torch.multinomial(outputs.detach().softmax(dim=1), 1).flatten() if sample else batch[1]
            return F.cross_entropy(outputs, labels, reduction="sum")

        def compute_measurement(self, batch: list[Tensor], model: nn.Module) -> Tensor:
            return self.compute_train_loss(batch, model)

        def get_influence_tracked_modules(self) -> list[str]:
            return names

    train = TensorDataset(audited.inputs.contiguous(), audited.labels)
    with quiet(), tempfile.TemporaryDirectory() as folder, seeded(seed):
        model = prepare_model(audited_copy(audited), Classification())
        theirs = Analyzer("run", model, Classification(), cpu=True, disable_tqdm=True, output_dir=folder)
        strategy = FactorArguments(strategy="ekfac")
        theirs.fit_all_factors("f", train, per_device_batch_size=BATCH, factor_args=strategy)
        damping = ScoreArguments(damping_factor=None)
        theirs.compute_self_scores("s", "f", train, per_device_train_batch_size=BATCH, score_args=damping)
        values = theirs.load_self_scores("s")["all_modules"].double().numpy()
    return Scores(values, np.arange(len(values)), method="kronfluence_ekfac", suspect="high")


def _exact(module: nn.Module) -> bool:
    if isinstance(module, nn.Conv2d):
        return module.groups == 1 and module.padding_mode == "zeros"
    return isinstance(module, nn.Linear)
