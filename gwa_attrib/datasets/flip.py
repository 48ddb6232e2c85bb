"""Labels made wrong on purpose, to see how well they are found again."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from gwa_attrib._registry import Registry
from gwa_attrib.datasets.messages import listed
from gwa_attrib.errors import InputError

flip_kinds = Registry("kind of label flip")
"""Functions of (labels of the chosen samples, number of classes, random generator, pairs) to their new labels."""

BEFORE_FLIP = "label_before_flip"
"""Column of a run with the labels of the source, where an audit has flipped some."""

Labels = Int64[np.ndarray, " sample"]
Pairs = Mapping[int, int]

FASHION_LOOK_ALIKES = {
    "T-shirt/top": "Shirt",
    "Trouser": "Dress",
    "Pullover": "Coat",
    "Sandal": "Sneaker",
    "Bag": "Ankle boot",
}
"""Classes of Fashion-MNIST that people mix up; both ways."""


def flip_labels(
    labels: Int64[np.ndarray, " sample"],
    num_classes: int,
    rate: float,
    kind: str,
    seed: int,
    pairs: Pairs | None = None,
) -> tuple[Int64[np.ndarray, " sample"], Bool[np.ndarray, " sample"]]:
    """Give ``round(rate * n)`` samples, drawn without replacement, another label; a class may end up empty.

    Args:
        labels: Class indices in ``0..num_classes-1``.
        num_classes: At least 2.
        rate: Share of the samples, in [0, 1).
        kind: "symmetric": any other class, each as likely; "pairs": the class that `pairs` gives for the old one.
        seed: The same seed, the same flips.
        pairs: For "pairs": for each class that occurs another one; see `known_look_alikes` and `look_alikes`.

    Returns:
        The new labels, and where they differ from the old.

    Raises:
        InputError: an argument is not what it has to be.

    Example:
        >>> flip_labels(np.array([0, 1, 2, 0]), 3, 0.5, "pairs", seed=0, pairs={0: 1, 1: 0, 2: 1})
        (array([0, 1, 1, 1]), array([False, False,  True,  True]))
    """
    _check(labels, num_classes, rate)
    flip = flip_kinds[kind]
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(labels), size=round(rate * len(labels)), replace=False)
    flipped = np.zeros(len(labels), dtype=bool)
    flipped[chosen] = True
    new = labels.copy()
    new[flipped] = flip(labels[flipped], num_classes, rng, pairs)
    return new, flipped


@flip_kinds.register("symmetric", source="Natarajan et al. 2013")
def symmetric(labels: Labels, num_classes: int, rng: np.random.Generator, _: Pairs | None) -> Labels:
    """Any other class, each as likely."""
    # A shift by at least one class and less than all never gives the class itself.
    return (labels + rng.integers(1, num_classes, size=len(labels))) % num_classes


@flip_kinds.register("pairs", source="Patrini et al. 2017, arXiv 1609.03683")
def to_pairs(labels: Labels, num_classes: int, _: np.random.Generator, pairs: Pairs | None) -> Labels:
    """The class that looks most alike."""
    pairs = pairs or {}
    missing = [c for c in np.unique(labels).tolist() if c not in pairs]
    strange = [(a, b) for a, b in pairs.items() if a == b or not 0 <= b < num_classes]
    if missing or strange:
        raise InputError(
            expected=f"pairs that give every class another one in 0..{num_classes - 1}",
            found=f"no partner for {listed(missing)}" if missing else f"{strange[0][0]} with {strange[0][1]}",
            todo="Pass pairs={class: look-alike}, such as look_alikes(encode(data), data.labels).",
        )
    return np.array([pairs[c] for c in labels.tolist()], dtype=np.int64)


def _check(labels: Labels, num_classes: int, rate: float) -> None:
    if not 0 <= rate < 1 or math.isnan(rate):
        raise InputError(
            expected="a share of labels to flip in [0, 1)", found=str(rate), todo="Give 0.2 for 20 percent."
        )
    if num_classes < 2 or (len(labels) and not 0 <= labels.min() <= labels.max() < num_classes):
        raise InputError(
            expected=f"at least 2 classes and labels in 0..{num_classes - 1}",
            found=f"{num_classes} classes, labels {labels.min(initial=0)}..{labels.max(initial=0)}",
            todo="Pass class indices and the number of classes.",
        )


def known_look_alikes(class_names: Sequence[str]) -> dict[int, int] | None:
    """The look-alike of each class where people know it by name (Fashion-MNIST); None for any other data set."""
    both_ways = FASHION_LOOK_ALIKES | {b: a for a, b in FASHION_LOOK_ALIKES.items()}
    position = {name: i for i, name in enumerate(class_names)}
    if set(class_names) != set(both_ways):
        return None
    return {position[name]: position[other] for name, other in both_ways.items()}


def look_alikes(
    inputs: Float[Tensor, "sample ..."], labels: Int64[np.ndarray, " sample"], class_names: Sequence[str] = ()
) -> dict[int, int]:
    """Find for each class that occurs that of the nearest mean input (Euclidean, float64; a tie: the lower index).

    Args:
        inputs: As `encode` gives them.
        labels: Class indices.
        class_names: If given, and look-alikes are known for these classes, it is these: see `known_look_alikes`.

    Raises:
        InputError: fewer than two classes occur.
    """
    known = known_look_alikes(class_names)
    if known is not None:
        return known
    classes = np.unique(labels)
    if len(classes) < 2:
        raise InputError(
            expected="samples of at least two classes", found=str(len(classes)), todo="Pass the whole data set."
        )
    flat = inputs.flatten(start_dim=1)
    means = torch.stack([flat[torch.from_numpy(labels == c)].double().mean(dim=0) for c in classes])
    distance = torch.cdist(means, means, compute_mode="donot_use_mm_for_euclid_dist").fill_diagonal_(torch.inf)
    nearest = distance.argmin(dim=1).numpy()
    return {int(c): int(other) for c, other in zip(classes, classes[nearest], strict=True)}
