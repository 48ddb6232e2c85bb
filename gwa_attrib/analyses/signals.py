"""The known signals of a trajectory, one analysis each: a mean or a count over the epochs."""

import torch
from torch import Tensor

from gwa_attrib.analyses.probabilities import blocks, labels_of, mean_probabilities, views
from gwa_attrib.analyses.registry import analyses, scores_of
from gwa_attrib.errors import NotRecordedError
from gwa_attrib.functional import trajectory
from gwa_attrib.functional.observation import margin
from gwa_attrib.scores import Scores
from gwa_attrib.store.run import Run


def _matrix(run: Run, name: str, layer: str | None = None) -> Tensor:
    return torch.from_numpy(run.trajectory(name, layer))


@analyses.register("alignment", suspect="low", source="Hölzl et al. 2025, arXiv 2510.25480")
def alignment(run: Run, layer: str | None = None) -> Scores:
    """Mean gradient-weight alignment over the epochs, in [-1, 1]; of the head, or of a recorded `layer`."""
    return scores_of(run, "alignment", trajectory.average(_matrix(run, "alignment", layer)).numpy(), layer=layer)


@analyses.register("aum", suspect="low", source="Pleiss et al. 2020, arXiv 2001.10528")
def aum(run: Run) -> Scores:
    """Area under the margin: mean over the epochs of the label's logit minus the largest other."""
    return scores_of(run, "aum", trajectory.average(_matrix(run, "margin")).numpy())


@analyses.register("confidence", suspect="low", source="Swayamdipta et al. 2020, arXiv 2009.10795")
def confidence(run: Run) -> Scores:
    """Mean probability of the given label over the epochs, in [0, 1]."""
    return scores_of(run, "confidence", trajectory.average(_matrix(run, "p_label")).numpy())


@analyses.register("variability", suspect="high", source="Swayamdipta et al. 2020, arXiv 2009.10795")
def variability(run: Run) -> Scores:
    """Standard deviation over the epochs of the probability of the given label; high is ambiguous."""
    return scores_of(run, "variability", trajectory.variability(_matrix(run, "p_label")).numpy())


@analyses.register("correctness", suspect="low", source="Swayamdipta et al. 2020, arXiv 2009.10795")
def correctness(run: Run) -> Scores:
    """In how many epochs the prediction was the given label."""
    return scores_of(run, "correctness", trajectory.correctness(_matrix(run, "correct")).numpy())


@analyses.register("forgetting_events", suspect="high", source="Toneva et al. 2019, arXiv 1812.05159")
def forgetting_events(run: Run, never_learnt: float | None = None) -> Scores:
    """How often the prediction went from right to wrong; a sample never learnt counts as the number of epochs."""
    values = trajectory.forgetting_events(_matrix(run, "correct"), never_learnt=never_learnt)
    return scores_of(run, "forgetting_events", values.numpy())


@analyses.register("first_epoch_learnt", suspect="high", source="learning time; Ravikumar et al. 2025 compare it")
def first_epoch_learnt(run: Run) -> Scores:
    """Position of the first epoch with a right prediction; infinite if there was none."""
    return scores_of(run, "first_epoch_learnt", trajectory.first_epoch_learnt(_matrix(run, "correct")).numpy())


@analyses.register("prediction_changes", suspect="high", source="Yuan et al. 2024 (LabelWave), arXiv 2502.07551")
def prediction_changes(run: Run) -> Scores:
    """How often the prediction changed from one epoch to the next."""
    return scores_of(run, "prediction_changes", trajectory.prediction_changes(_matrix(run, "pred")).numpy())


@analyses.register("fraction_negative", suspect="high", source="Hölzl et al. 2025, arXiv 2510.25480")
def fraction_negative(run: Run, layer: str | None = None) -> Scores:
    """Share of the epochs in which the alignment was negative, in [0, 1]; of the head, or of a recorded `layer`."""
    values = trajectory.fraction_negative(_matrix(run, "alignment", layer))
    return scores_of(run, "fraction_negative", values.numpy(), layer=layer)


@analyses.register("loss", suspect="high", source="cumulative sample loss; Ravikumar et al. 2025 (CSL), ICML")
def loss(run: Run) -> Scores:
    """Mean training loss over the epochs, in nats."""
    return scores_of(run, "loss", trajectory.average(_matrix(run, "loss")).numpy())


@analyses.register("el2n", suspect="high", source="Paul et al. 2021, arXiv 2107.07075")
def el2n(run: Run) -> Scores:
    """Mean over the epochs of the distance between the probabilities and the one-hot label, in [0, √2]."""
    return scores_of(run, "el2n", trajectory.average(_matrix(run, "el2n")).numpy())


@analyses.register("head_tracin", suspect="high", source="TracIn self-influence: Pruthi et al. 2020, arXiv 2002.08484")
def head_tracin(run: Run) -> Scores:
    """Sum over the epochs of learning rate times squared gradient norm of the head's kernel; needs the optimizer."""
    rates = _matrix(run, "learning_rate")
    if rates.isnan().all():
        raise NotRecordedError(
            expected="learning rates in the run",
            found="none",
            todo="Record it with gwa.record(..., optimizer=optimizer).",
        )
    values = (rates * _matrix(run, "grad_norm").square()).nan_to_num().sum(dim=0)
    never = rates.isnan().all(dim=0)
    return scores_of(run, "head_tracin", torch.where(never, torch.nan, values).numpy())


@analyses.register("average_margin", suspect="low", source="best of the detectors taken apart in arXiv 2510.16211")
def average_margin(run: Run) -> Scores:
    """Logit margin of the probabilities averaged over the epochs: log-probability of the label less the largest other.

    Probabilities of the label and of the likeliest classes of each epoch; the rest is spread over the other classes.
    """
    parts = []
    for rows in blocks(run):
        labels = labels_of(run, rows)
        average = mean_probabilities(views(run, rows), labels, len(run.class_names))
        parts.append(margin(average.clamp_min(1e-6).log(), labels))
    return scores_of(run, "average_margin", torch.cat(parts).numpy())


@analyses.register("grand", suspect="high", source="Paul et al. 2021, arXiv 2107.07075")
def grand(run: Run, layer: str | None = None) -> Scores:
    """Mean over the epochs of the norm of the loss gradient: of the head's kernel, or of a recorded `layer`.

    With ``layer="all"`` of a run that was recorded with ``layers="all"`` it is GraNd as published, on all parameters.
    """
    return scores_of(run, "grand", trajectory.average(_matrix(run, "grad_norm", layer)).numpy(), layer=layer)
