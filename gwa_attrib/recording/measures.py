"""Measures of an epoch that need more than what is stored of the samples: gradients, features, activations.

Each is registered, takes a `View` of the model at the end of an epoch, and gives one number per name; the numbers are
stored with the epoch, beside the user's metrics. `gwa.record(..., measures=[...])` names those to take.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from gwa_attrib._registry import Registry
from gwa_attrib.functional.alignment import head_alignment
from gwa_attrib.functional.feature_geometry import gradient_disparity, rescaled_loss, spectrum, subsampled_two_nn
from gwa_attrib.functional.targets import CrossEntropy
from gwa_attrib.gradients.blocks import blocks_of
from gwa_attrib.hooks.forward import Forward, glimpses, only, to_device
from gwa_attrib.hooks.undisturbed import left_undisturbed
from gwa_attrib.value_types import Array

BATCHES = 5
"""Batches whose gradients are compared: 10 pairs."""
POINTS = 1000
"""Samples whose activations are looked at, at most."""
PROJECTED = 64
"""Dimensions that features are projected to, to compare models of different widths."""


@dataclass(frozen=True)
class View:
    """The model at the end of an epoch."""

    model: nn.Module
    head: str
    loader: DataLoader[object]
    """The loader over the samples of the probe, in their order."""
    features: Tensor
    """Inputs of the head in evaluation mode, ``[sample, feature]``, at most `POINTS` samples."""
    logits: Tensor
    targets: Tensor
    forward: Forward
    loss: CrossEntropy
    """The loss that the model is trained with."""
    epoch: int

    @property
    def linear(self) -> nn.Linear:
        """The head."""
        return self.model.get_submodule(self.head)  # type: ignore[return-value]


measures = Registry("measure")


@measures.register("gradient_disparity", suspect="high", source="Badola et al. 2021, arXiv 2107.06665")
def disparity(view: View) -> dict[str, float]:
    """Mean distance of 5 batch gradients of all parameters, in training mode; with and without the losses rescaled."""
    parameters = [p for p in view.model.parameters() if p.requires_grad]
    plain: list[Tensor] = []
    rescaled: list[Tensor] = []
    for losses in _training_losses(view):
        for of, into in ((losses.mean(), plain), (rescaled_loss(losses), rescaled)):
            gradients = torch.autograd.grad(of, parameters, retain_graph=into is plain, allow_unused=True)
            into.append(torch.cat([g.flatten() for g in gradients if g is not None]))
    return {
        "gradient_disparity": float(gradient_disparity(torch.stack(plain))),
        "gradient_disparity_rescaled": float(gradient_disparity(torch.stack(rescaled))),
    }


def _training_losses(view: View) -> Iterator[Tensor]:
    """Yield the losses of a few batches, drawn anew in each epoch."""
    generator = torch.Generator().manual_seed(view.epoch)
    loader = DataLoader(
        view.loader.dataset,
        batch_size=view.loader.batch_size,
        shuffle=True,
        drop_last=len(view.features) >= (view.loader.batch_size or 1),  # a batch of one has no batch statistics
        collate_fn=view.loader.collate_fn,
        generator=generator,
    )
    smoothing, weight = view.loss.label_smoothing, view.loss.class_weight
    with left_undisturbed(view.model, training=True), torch.enable_grad(), glimpses(view.linear) as seen:
        for _, batch in zip(range(BATCHES), loader, strict=False):
            targets = view.forward(view.model, to_device(batch, view.linear.weight.device))
            logits = only(seen, view.head).logits
            yield F.cross_entropy(logits, targets, weight, label_smoothing=smoothing, reduction="none")


@measures.register("llid", suspect="high", source="Brown et al. 2022, arXiv 2211.13239")
def last_layer_dimension(view: View) -> dict[str, float]:
    """Intrinsic dimension (TwoNN) of the input of the head, in evaluation mode."""
    return {"llid": subsampled_two_nn(_array(view.features)).dimension}


@measures.register("pid", suspect="low", source="Brown et al. 2022, arXiv 2211.13239")
def peak_dimension(view: View) -> dict[str, float]:
    """Largest intrinsic dimension (TwoNN) over the outputs of the model's blocks, in evaluation mode."""
    modules = dict(view.model.named_modules())
    names = [name for name in blocks_of(view.model) if name in modules and name != view.head]
    found = [subsampled_two_nn(_activations(view, name)).dimension for name in names]
    return {"pid": max((value for value in found if np.isfinite(value)), default=float("nan"))}


def _activations(view: View, name: str) -> Array:
    """Return the outputs of one module, flattened; one module at a time, so that one is in memory."""
    caught: list[Tensor] = []
    module = view.model.get_submodule(name)

    def went_forward(_: nn.Module, __: object, out: object) -> None:
        first = out[0] if isinstance(out, tuple | list) else out
        if isinstance(first, Tensor):
            caught.append(first.detach().flatten(1).float().cpu())

    handle = module.register_forward_hook(went_forward)
    try:
        with left_undisturbed(view.model, training=False), torch.no_grad():
            for batch in view.loader:
                view.forward(view.model, to_device(batch, view.linear.weight.device))
                if sum(len(part) for part in caught) >= POINTS:
                    break
    finally:
        handle.remove()
    return torch.cat(caught)[:POINTS].numpy() if caught else np.empty((0, 1))


@measures.register("spectrum", suspect="low", source="Chen et al. 2024, arXiv 2309.17002")
def feature_spectrum(view: View) -> dict[str, float]:
    """Singular value entropy (sve) and largest singular value ratio (lsvr) of the input of the head."""
    return spectrum(view.features)._asdict()


@measures.register("projected_alignment", suspect="low", source="Hölzl et al. 2025, arXiv 2510.25480")
def projected_alignment(view: View) -> dict[str, float]:
    """Mean alignment after a Johnson-Lindenstrauss projection of features and weights to 64 dimensions."""
    head = view.linear
    # The same projection in every epoch and on every device, so that the numbers can be compared.
    generator = torch.Generator().manual_seed(0)
    width = view.features.shape[1]
    projection = torch.randn(width, PROJECTED, generator=generator).to(view.features) / PROJECTED**0.5
    features, weight = view.features @ projection, head.weight.detach().float() @ projection
    alignment = head_alignment(
        features,
        features @ weight.T,
        view.targets,
        weight,
        label_smoothing=view.loss.label_smoothing,
        class_weight=view.loss.class_weight,
    )
    return {"projected_alignment": float(alignment.nanmean())}


def _array(features: Tensor) -> Array:
    return features.float().cpu().numpy()
