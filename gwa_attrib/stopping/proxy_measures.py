"""The proxies: out of the measures at the end of each epoch, the trajectories of samples, the summaries of epochs."""

import math

import numpy as np
from jaxtyping import Float

from gwa_attrib.stopping.history import History, proxies


def _recorded(history: History, name: str, by: str) -> Float[np.ndarray, " epoch"]:
    return history.column(name, f"Record it: gwa.record(..., probe=2000, measures=[{by!r}]).")


@proxies.register("gradient_disparity", suspect="high", source="Badola et al. 2021, arXiv 2107.06665")
def gradient_disparity(history: History) -> Float[np.ndarray, " epoch"]:
    """Mean distance of the gradients of 5 batches; needs measures=["gradient_disparity"]."""
    return _recorded(history, "gradient_disparity", "gradient_disparity")


@proxies.register("gradient_disparity_rescaled", suspect="high", source="Badola et al. 2021, the authors' code")
def gradient_disparity_rescaled(history: History) -> Float[np.ndarray, " epoch"]:
    """The same with each batch's losses divided by their deviation; needs measures=["gradient_disparity"]."""
    return _recorded(history, "gradient_disparity_rescaled", "gradient_disparity")


@proxies.register("llid", suspect="high", source="Brown et al. 2022, arXiv 2211.13239")
def llid(history: History) -> Float[np.ndarray, " epoch"]:
    """Intrinsic dimension of the head's input (TwoNN); needs measures=["llid"]."""
    return _recorded(history, "llid", "llid")


@proxies.register("pid", suspect="low", source="Brown et al. 2022, arXiv 2211.13239")
def pid(history: History) -> Float[np.ndarray, " epoch"]:
    """Largest intrinsic dimension over the blocks; needs measures=["pid"]."""
    return _recorded(history, "pid", "pid")


@proxies.register("sve", suspect="low", source="Chen et al. 2024, arXiv 2309.17002")
def sve(history: History) -> Float[np.ndarray, " epoch"]:
    """Entropy of the singular values of the head's input; needs measures=["spectrum"]."""
    return _recorded(history, "sve", "spectrum")


@proxies.register("lsvr", suspect="low", source="Chen et al. 2024, arXiv 2309.17002")
def lsvr(history: History) -> Float[np.ndarray, " epoch"]:
    """Minus the logarithm of the largest singular value's share; needs measures=["spectrum"]."""
    return _recorded(history, "lsvr", "spectrum")


@proxies.register("projected_alignment", suspect="low", source="Hölzl et al. 2025, arXiv 2510.25480")
def projected_alignment(history: History) -> Float[np.ndarray, " epoch"]:
    """Mean alignment after projection to 64 dimensions; needs measures=["projected_alignment"]."""
    return _recorded(history, "projected_alignment", "projected_alignment")


MEMORISED_BELOW = math.exp(-2.3)
"""Loss in nats below which a sample counts as memorised: the threshold of the authors for GSM8K."""


@proxies.register("pre_memorization_accuracy", suspect="low", source="Kang et al. 2024, arXiv 2411.07681; our port")
def pre_memorization_accuracy(history: History, threshold: float = MEMORISED_BELOW) -> Float[np.ndarray, " epoch"]:
    """Share of the samples that are right now, and once were before their loss fell below the threshold."""
    values = np.full(len(history.epochs), np.nan)
    before: Float[np.ndarray, " sample"] | None = None
    rows = {epoch: row for row, epoch in enumerate(history.epochs)}
    for epoch, dense in history.run.by_epoch("correct", "loss"):
        if epoch not in rows:
            continue
        correct, loss = dense["correct"], dense["loss"]
        values[rows[epoch]], before = pre_memorized(correct, loss, before, threshold)
    return values


def pre_memorized(
    correct: Float[np.ndarray, " sample"],
    loss: Float[np.ndarray, " sample"],
    before: Float[np.ndarray, " sample"] | None,
    threshold: float,
) -> tuple[float, Float[np.ndarray, " sample"]]:
    """Work out ``mean_i min(max_{j≤now} correct_ij·[loss_ij ≥ threshold], correct_i)`` of one epoch, and the inner
    maximum.

    Samples that were not seen in the epoch (NaN) are left out of the mean, and keep their maximum.
    """
    fresh = np.where(np.isnan(correct), 0.0, correct * (loss >= threshold))
    reached = fresh if before is None else np.maximum(before, fresh)
    seen = ~np.isnan(correct)
    now = np.minimum(reached, correct)[seen]
    return (float(now.mean()) if len(now) else math.nan), reached


PerEpoch = Float[np.ndarray, " epoch"]
ONLINE = "Record at least one epoch."
LOSSES = "Record the loss: gwa.record(..., signals=None) stores all signals."
PROBE = "Record with a probe: gwa.record(..., probe=2000)."
WINDOW = 3
"""Epochs over which prediction changes are averaged, as LabelWave's appendix finds best."""


@proxies.register("gwa", suspect="low", source="Hölzl et al. 2025, arXiv 2510.25480")
def gwa(history: History) -> PerEpoch:
    """Gradient-weight alignment: mean over (excess kurtosis + 1.2), online; not defined near its pole."""
    return _gwa(history, "", ONLINE)


@proxies.register("mean_alignment", suspect="low", source="Hölzl et al. 2025, arXiv 2510.25480")
def mean_alignment(history: History) -> PerEpoch:
    """Mean alignment over the epoch, online, in [-1, 1]."""
    return history.column("mean", ONLINE)


@proxies.register("probe_gwa", suspect="low", source="Hölzl et al. 2025, arXiv 2510.25480; in evaluation mode")
def probe_gwa(history: History) -> PerEpoch:
    """Gradient-weight alignment in evaluation mode; not defined near its pole."""
    return _gwa(history, "probe_", PROBE)


@proxies.register("probe_alignment", suspect="low", source="Hölzl et al. 2025, arXiv 2510.25480; in evaluation mode")
def probe_alignment(history: History) -> PerEpoch:
    """Mean alignment in evaluation mode at the end of the epoch, in [-1, 1]."""
    return history.column("probe_mean", PROBE)


@proxies.register("bounded_gwa", suspect="low", source="GWA with the kurtosis itself below the line: it has no pole")
def bounded_gwa(history: History) -> PerEpoch:
    """Mean alignment over the kurtosis (at least 1), online: as GWA it prefers two separate modes, without a pole."""
    return history.column("mean", ONLINE) / (history.column("excess_kurtosis", ONLINE) + 3.0)


@proxies.register("probe_bounded_gwa", suspect="low", source="GWA with the kurtosis itself below the line")
def probe_bounded_gwa(history: History) -> PerEpoch:
    """Mean alignment over the kurtosis, in evaluation mode at the end of the epoch."""
    return history.column("probe_mean", PROBE) / (history.column("probe_excess_kurtosis", PROBE) + 3.0)


@proxies.register("label_wave", suspect="high", source="Yuan et al. 2024, arXiv 2502.07551")
def label_wave(history: History) -> PerEpoch:
    """Prediction changes per epoch, online, averaged over the last 3 epochs; the first has none."""
    return trailing_mean(history.column("prediction_changes", "Record at least two epochs."), WINDOW)


@proxies.register("probe_label_wave", suspect="high", source="Yuan et al. 2024, arXiv 2502.07551; in evaluation mode")
def probe_label_wave(history: History) -> PerEpoch:
    """Prediction changes of the probe, averaged over the last 3 epochs; the first has none."""
    return trailing_mean(history.column("probe_prediction_changes", PROBE), WINDOW)


@proxies.register("consensus", suspect="low", source="ours: labels voted by the epochs, with the residual as weight")
def consensus(history: History) -> PerEpoch:
    """Accuracy in evaluation mode on labels that the training agrees on, which memorised labels have no vote in."""
    return history.column("probe_consensus", PROBE)


@proxies.register("train_loss", suspect="high", source="the mean training loss")
def train_loss(history: History) -> PerEpoch:
    """Mean training loss in nats, online."""
    return history.column("online_loss", LOSSES)


@proxies.register("train_accuracy", suspect="low", source="the accuracy on the given labels")
def train_accuracy(history: History) -> PerEpoch:
    """Share of the samples predicted as labelled, online."""
    return history.column("online_accuracy", ONLINE)


def _gwa(history: History, prefix: str, todo: str) -> PerEpoch:
    reliable = history.column(f"{prefix}gwa_reliable", todo) == 1.0
    return np.where(reliable, history.column(f"{prefix}gwa", todo), np.nan)


def trailing_mean(values: PerEpoch, window: int) -> PerEpoch:
    """Mean of the last `window` values up to each epoch; of those there are, at the start. NaN where there is none.

    >>> trailing_mean(np.array([np.nan, 4.0, 2.0, 6.0, 1.0]), 3)
    array([nan, 4., 3., 4., 3.])
    """
    padded = np.concatenate([np.full(window - 1, np.nan), values])
    windows = np.lib.stride_tricks.sliding_window_view(padded, window)
    count = np.isfinite(windows).sum(axis=1)
    return np.where(np.isfinite(values), np.nansum(windows, axis=1) / np.maximum(count, 1), np.nan)
