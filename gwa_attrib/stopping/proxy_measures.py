"""Proxies that come out of the summaries of the epochs alone."""

import numpy as np
from jaxtyping import Float

from gwa_attrib.stopping.history import History, proxies

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
