"""Proxies that need gradients or features at the end of each epoch: see `gwa.record(..., measures=[...])`."""

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
