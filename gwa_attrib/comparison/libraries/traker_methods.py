"""traker's TRAK."""

import logging
import tempfile

import numpy as np
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from gwa_attrib.auditing.audited_model import AuditedModel
from gwa_attrib.comparison.libraries.registry import EXTRA, baselines, needs, quiet
from gwa_attrib.comparison.libraries.supported import audited_copy, chosen_layers
from gwa_attrib.errors import InputError
from gwa_attrib.scores import Scores

BATCH = 128
FEWEST = 101
"""traker 0.3 ends with an AttributeError below."""
MOST = 20_000
"""It has no self-influence: the diagonal is taken of the values for every pair of training samples."""


@baselines.register("traker_trak", suspect="high", source="Park et al. 2023, arXiv 2303.14186, by traker")
def traker_trak(audited: AuditedModel, *, layers: str = "all", dimensions: int = 512, seed: int = 0) -> Scores:
    """traker's TRAK self-influence of all parameters, in single precision, of the last checkpoint."""
    needs("trak", EXTRA)
    from trak import TRAKer

    chosen_layers(audited, layers, ("all",))
    samples = len(audited.labels)
    if dimensions < FEWEST or samples > MOST:
        raise InputError(
            expected=f"at least {FEWEST} dimensions, and at most {MOST:,} samples, every pair of which it values",
            found=f"{dimensions} dimensions and {samples:,} samples",
            todo="Take our own 'trak', which values samples alone too.",
        )
    model: nn.Module = audited_copy(audited)
    loader = DataLoader(TensorDataset(audited.inputs.contiguous(), audited.labels), BATCH)
    with quiet(), tempfile.TemporaryDirectory() as folder:
        theirs = TRAKer(
            model=model,
            task="image_classification",
            train_set_size=samples,
            save_dir=folder,
            device="cpu",
            proj_dim=dimensions,
            projector_seed=seed,
            use_half_precision=False,
            logging_level=logging.ERROR,
        )
        theirs.load_checkpoint(model.state_dict(), model_id=0)
        for batch in loader:
            theirs.featurize(batch=batch, num_samples=len(batch[1]))
        theirs.finalize_features()
        theirs.start_scoring_checkpoint(exp_name="own", checkpoint=model.state_dict(), model_id=0, num_targets=samples)
        for batch in loader:
            theirs.score(batch=batch, num_samples=len(batch[1]))
        values = np.asarray(theirs.finalize_scores(exp_name="own")).diagonal().astype(np.float64)
    return Scores(values, np.arange(samples), method="traker_trak", suspect="high")
