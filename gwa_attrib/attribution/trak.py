"""TRAK: the model as a linear one in randomly projected gradients of its margin."""

import torch
from jaxtyping import Float
from torch import Tensor

from gwa_attrib.attribution.data import Samples
from gwa_attrib.attribution.registry import attributors
from gwa_attrib.attribution.task import Task
from gwa_attrib.errors import InputError

BLOCK = 1 << 14
"""Parameters whose part of the projection is drawn at a time: it is never held as a whole."""


@attributors.register("trak", suspect="high", source="Park et al. 2023, arXiv 2303.14186")
def trak_attributor(task: Task, *, dimensions: int = 512, damping: float = 0.0) -> "Trak":
    """Linear regression on projected gradients of the margin; better with several independently trained checkpoints.

    dimensions: of the projection; as many as there are parameters at most. damping: added to the kernel's diagonal,
    relative to its mean.
    """
    return Trak(task, dimensions, damping)


def margin_sum(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return ``Σ log p/(1 - p)`` of the label's probability."""
    index = targets.long().unsqueeze(1)
    of_label = outputs.gather(1, index).squeeze(1)
    others = outputs.scatter(1, index, -torch.inf).logsumexp(dim=1)
    return (of_label - others).sum()


class Projection:
    """A projection of gradients to `dimensions` numbers, by a matrix of random signs that depends on the seed alone.

    Products are kept on average (Johnson, Lindenstrauss 1984).
    """

    def __init__(self, size: int, dimensions: int, seed: int) -> None:
        self.size, self.dimensions, self._seed = size, dimensions, seed

    def __call__(self, flat: Float[Tensor, "sample size"]) -> Float[Tensor, "sample dimension"]:
        result = flat.new_zeros(len(flat), self.dimensions)
        for number, part in enumerate(torch.split(flat, BLOCK, dim=1)):
            result += part @ self._signs(number, part.shape[1]).to(flat)
        return result.div_(self.dimensions**0.5)

    def _signs(self, number: int, size: int) -> Tensor:
        # A draw for each block, which no block of another seed shares.
        generator = torch.Generator().manual_seed((self._seed << 20) + number)
        drawn = torch.randint(0, 2, (size, self.dimensions), generator=generator, dtype=torch.int8)
        return drawn.mul_(2).sub_(1)


class Trak:
    """The averages over checkpoints of ``Φ(ΦᵀΦ)⁻¹φ_q`` and of ``1 - p``, multiplied."""

    def __init__(self, task: Task, dimensions: int, damping: float) -> None:
        if dimensions < 1 or damping < 0:
            raise InputError(
                expected="at least one dimension and no negative damping",
                found=f"dimensions={dimensions}, damping={damping}",
                todo="Leave them out for 512 and 0.",
            )
        self._task, self._damping = task, damping
        size = task.per_sample.size
        self._project = Projection(size, dimensions, task.seed) if dimensions < size else None

    def _features(self, samples: Samples, what: str) -> tuple[Tensor, Tensor]:
        """Return projected gradients of the margin, and one minus the label's probability; float64."""
        features, doubts = [], []
        for _, batch in self._task.passes(samples, what):
            for _, flat in self._task.per_sample.gradients(batch, margin_sum).flat_parts():
                features.append((flat if self._project is None else self._project(flat)).double())
            with torch.no_grad():
                outputs, targets = self._task.forward(self._task.model, batch)
            own = outputs.double().log_softmax(dim=1).gather(1, targets.long().unsqueeze(1)).squeeze(1)
            doubts.append(-torch.expm1(own))
        return torch.cat(features), torch.cat(doubts)

    def _inverse(self, features: Tensor) -> Tensor:
        """Invert the damped kernel; without damping by its pseudo-inverse."""
        kernel = features.T @ features
        kernel.diagonal().add_(self._damping * kernel.diagonal().mean())
        # With fewer samples than dimensions the kernel has no inverse.
        inverse: Tensor = torch.linalg.pinv(kernel, hermitian=True)
        return inverse

    def pairs(self, query: object) -> Tensor:
        task, samples = self._task, self._task.samples(query)
        count = task.number_of_checkpoints
        products = torch.zeros(len(task.train), len(samples), dtype=torch.float64)
        doubts = torch.zeros(len(task.train), dtype=torch.float64)
        for _ in task.checkpoints():
            features, doubt = self._features(task.train, "training gradients")
            of_query, _ = self._features(samples, "query gradients")
            products += (features @ (self._inverse(features) @ of_query.T)).cpu()
            doubts += doubt.cpu()
        return products / count * (doubts / count).unsqueeze(1)

    def self_influence(self) -> Tensor:
        task, count = self._task, self._task.number_of_checkpoints
        products, doubts = torch.zeros(2, len(task.train), dtype=torch.float64)
        for _ in task.checkpoints():
            features, doubt = self._features(task.train, "training gradients")
            products += ((features @ self._inverse(features)) * features).sum(dim=1).cpu()
            doubts += doubt.cpu()
        value: Tensor = products * doubts / count**2
        return value
