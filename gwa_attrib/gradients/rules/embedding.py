"""Tables of embeddings: one lookup a position, or bags of them."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gwa_attrib.functional.outer_products import table_gradient, table_squared_norm
from gwa_attrib.gradients.rules.rule import Gradients, Operands, Part, Parts, Rule, layer_rules


def lookups(module: nn.Embedding | nn.EmbeddingBag, operands: Operands) -> tuple[Tensor, Tensor, Tensor]:
    """Return sample, row and δ of every lookup that has a gradient."""
    delta = operands.delta
    if operands.coefficient is not None:
        delta = delta.unsqueeze(2) * operands.coefficient.unsqueeze(3)
    rows, delta = operands.x.flatten(1).long(), delta.flatten(1, -2)
    sample = torch.arange(len(rows), device=rows.device).unsqueeze(1).expand_as(rows)
    sample, rows, delta = sample.flatten(), rows.flatten(), delta.flatten(0, 1)
    if module.padding_idx is not None:
        used = rows != module.padding_idx
        sample, rows, delta = sample[used], rows[used], delta[used]
    return sample, rows, delta


def gradient(module: nn.Embedding | nn.EmbeddingBag, operands: Operands) -> Gradients:
    """Form the gradient of the table: large."""
    return {"weight": table_gradient(len(operands.x), module.num_embeddings, *lookups(module, operands))}


def norms(module: nn.Embedding | nn.EmbeddingBag, operands: Operands, sums: Gradients | None = None) -> Parts:
    """Return product and norm from the rows that were looked up."""
    samples = len(operands.x)
    sample, rows, delta = lookups(module, operands)
    products = (delta * F.embedding(rows, module.weight.detach()).to(delta.dtype)).sum(dim=1)
    dot = delta.new_zeros(samples).index_add_(0, sample, products)
    return {"weight": Part(dot, table_squared_norm(samples, module.num_embeddings, sample, rows, delta))}


def refuses(module: nn.Embedding | nn.EmbeddingBag) -> str | None:
    """Name what makes a gradient depend on the rest of the batch, or is not linear in the table."""
    if module.scale_grad_by_freq:
        return "scale_grad_by_freq=True, which divides a sample's gradient by what the batch looks up"
    if module.max_norm is not None:
        return "max_norm, which changes the weights in the forward pass"
    if isinstance(module, nn.EmbeddingBag) and module.mode == "max":
        return "mode='max', whose gradient goes to another row for each feature"
    return None


@layer_rules.register("embedding", source="exact")
def embedding_rule() -> Rule:
    """Norms of the rows that a sample looked up, each the sum of its lookups; the padding row left out."""
    return Rule(kinds=(nn.Embedding,), gradient=gradient, norms=norms, event=lambda module, x: 0, refuses=refuses)


def unpack_bag(module: nn.EmbeddingBag, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Tensor, ...]:
    """Return row numbers ``[bag, lookup]`` and the factor of each lookup; shorter bags are filled with factor 0."""
    names = ("input", "offsets", "per_sample_weights")
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    rows, offsets, weights = given["input"], given.get("offsets"), given.get("per_sample_weights")
    if rows.dim() == 1 and offsets is not None:
        rows, weights = _ragged(module, rows, offsets, weights)
    factor = torch.ones_like(rows, dtype=torch.float32) if weights is None else weights.detach().float()
    factor = torch.where(rows < 0, 0.0, factor)
    rows = rows.clamp_min(0)
    if module.padding_idx is not None:
        factor = torch.where(rows == module.padding_idx, 0.0, factor)
    if module.mode == "mean":
        # The mean of an empty bag is zero, as torch has it.
        factor = factor / factor.sum(dim=1, keepdim=True).clamp_min(1.0)
    return rows, factor


def _ragged(module: nn.EmbeddingBag, rows: Tensor, offsets: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
    """Turn flat row numbers with the offsets of the bags into ``[bag, lookup]``, filled with -1."""
    starts = offsets[:-1] if module.include_last_offset else offsets
    position = torch.arange(len(rows), device=rows.device)
    bag = torch.searchsorted(starts.contiguous(), position, right=True) - 1
    place = position - starts[bag]
    width = int(place.max()) + 1 if len(rows) else 1
    table = rows.new_full((len(starts), width), -1)
    table[bag, place] = rows
    factor = torch.zeros(len(starts), width, device=rows.device)
    factor[bag, place] = 1.0 if weights is None else weights.detach().float()
    return table, factor


@layer_rules.register("embedding bag", source="exact")
def embedding_bag_rule() -> Rule:
    """Norms of the rows that a sample's bag looked up, each the sum of its lookups and their factors."""
    return Rule(
        kinds=(nn.EmbeddingBag,),
        gradient=gradient,
        norms=norms,
        event=lambda module, x: 1,
        refuses=refuses,
        unpack=unpack_bag,
    )
