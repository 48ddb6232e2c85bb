"""What hypothesis draws for the functions of the head: a batch, a linear layer, and how the loss treats the targets."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from torch import Tensor

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5, torch.bfloat16: 2e-2, torch.float16: 2e-2}


@dataclass(frozen=True)
class HeadCase:
    """A batch at a linear head, in the precision it was drawn in."""

    features: Tensor
    targets: Tensor
    weight: Tensor
    bias: Tensor | None
    label_smoothing: float
    class_weight: Tensor | None

    @property
    def logits(self) -> Tensor:
        return F.linear(self.features, self.weight, self.bias)

    @property
    def loss(self) -> dict[str, Any]:
        return {"label_smoothing": self.label_smoothing, "class_weight": self.class_weight}

    @property
    def cancellation(self) -> float:
        """How much rounding grows at worst: in z - b by |b| / ‖h‖‖W‖, in p - y of a soft target by 1 / ‖p - y‖."""
        lengths = self.features.double().norm(dim=1) * self.weight.double().norm()
        in_logits = 0.0 if self.bias is None else float(self.bias.double().abs().max() / lengths.min())
        if self.targets.dim() == 1 and not self.label_smoothing:
            return in_logits
        y = F.one_hot(self.targets, self.classes) if self.targets.dim() == 1 else self.targets
        y = y.double() * (1 - self.label_smoothing) + self.label_smoothing / self.classes
        residual = (self.logits.double().softmax(dim=1) - y).norm(dim=1)
        return max(in_logits, 1.0 / max(float(residual.min()), 1e-12) if self.classes > 1 else 0.0)

    @property
    def classes(self) -> int:
        return len(self.weight)


def _targets(draw: st.DrawFn, n: int, classes: int, dtype: torch.dtype, generator: torch.Generator) -> Tensor:
    if draw(st.booleans(), label="soft targets"):
        return torch.randn(n, classes, dtype=torch.float64, generator=generator).mul(2).softmax(dim=1).to(dtype)
    return torch.randint(classes, (n,), generator=generator)


@st.composite
def head_cases(
    draw: st.DrawFn, dtype: torch.dtype = torch.float64, *, bias_scale: float = 1.0, min_samples: int = 1
) -> HeadCase:
    """1 to 7 samples, 1 to 9 features, 1 to 6 classes; with and without bias, soft targets, smoothing, weights."""
    n, d, classes = draw(st.integers(min_samples, 7)), draw(st.integers(1, 9)), draw(st.integers(1, 6))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))
    scale = draw(st.sampled_from([0.1, 1.0, 3.0]), label="scale of the weights")

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    return HeadCase(
        features=normal(n, d).to(dtype),
        targets=_targets(draw, n, classes, dtype, generator),
        weight=(normal(classes, d) * scale / d**0.5).to(dtype),
        bias=(normal(classes) * bias_scale).to(dtype) if draw(st.booleans(), label="bias") else None,
        label_smoothing=draw(st.sampled_from([0.0, 0.1, 0.5])),
        class_weight=normal(classes).abs().add(0.1).to(dtype) if draw(st.booleans(), label="class weight") else None,
    )
