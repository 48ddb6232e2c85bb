"""The second derivative of the mean training loss with respect to the chosen parameters, and what it is made of."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from gwa_attrib.attribution.task import Task
from gwa_attrib.errors import HeadError, InputError
from gwa_attrib.hooks.forward import glimpses

TOGETHER = 32
"""Vectors that go through one backward pass."""
MOST_EXPLICIT = 8192
"""Parameters up to which a matrix is formed: half a gigabyte in float64."""
MOST_HELD = 1 << 30
"""Numbers that are held of all samples' logit Hessians, at most: 8 gigabytes."""
KINDS = ("gauss_newton", "hessian")


def curvature_of(task: Task, kind: str) -> "HeadCurvature | ModelCurvature":
    """Choose the closed form for the head, in which outputs are linear and both kinds are one; else backward passes."""
    if kind not in KINDS:
        raise InputError(expected=f"curvature={' or '.join(map(repr, KINDS))}", found=repr(kind), todo="Choose one.")
    return HeadCurvature(task) if task.layers == "head" else ModelCurvature(task, kind)


def logit_hessians(task: Task, outputs: Tensor, targets: Tensor) -> Tensor:
    """Return ∇²_z of each sample's loss, ``[sample, class, class]``."""
    with torch.enable_grad():
        z = outputs.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(task.loss(z, targets), z, create_graph=True)
        if not gradient.requires_grad:  # a loss that is linear in its outputs
            return z.new_zeros(*z.shape, z.shape[1])
        rows = [torch.autograd.grad(of_class.sum(), z, retain_graph=True)[0] for of_class in gradient.unbind(dim=1)]
    return torch.stack(rows, dim=1)


class HeadCurvature:
    """The curvature ``H = mean_i ∇²_z ℓ_i ⊗ (h_i, 1)(h_i, 1)ᵀ`` of the head; all samples' terms are held."""

    def __init__(self, task: Task) -> None:
        head = task.head_layer
        self._bias = head.bias is not None
        features, blocks = [], []
        for _, batch in task.passes(task.train, "curvature"):
            with torch.no_grad(), glimpses(head) as seen:
                outputs, targets = task.forward(task.model, batch)
            _refuse_many(len(task.train), outputs.shape[1])
            glimpse = seen[-1]
            if glimpse.features.dim() != 2 or glimpse.logits.shape != outputs.shape:
                raise HeadError(
                    expected="a head that maps one row of features per sample to the outputs",
                    found=f"features of shape {list(glimpse.features.shape)} and outputs {list(outputs.shape)}",
                    todo="Name the layers that count instead: layers=[...].",
                )
            if not torch.equal(glimpse.logits, outputs):
                raise HeadError(
                    expected="the outputs of the model to be those of the head",
                    found=f"others: something comes after {task.head!r}",
                    todo="Pass a loss of the logits, or name the layers that count: layers=[...].",
                )
            h = glimpse.features.double()
            features.append(torch.cat([h, h.new_ones(len(h), 1)], dim=1) if self._bias else h)
            blocks.append(logit_hessians(task, outputs.double(), targets))
        self.features = torch.cat(features)
        """``[sample, feature (+ 1)]``."""
        self.blocks = torch.cat(blocks)
        """∇²_z ℓ, ``[sample, class, class]``."""
        self.classes = self.blocks.shape[1]
        self.size = self.classes * self.features.shape[1]
        self._step = task.batch_size

    def _matrix_of(self, v: Tensor) -> Tensor:
        """Return ``[vector, class, feature (+ 1)]`` of flat rows: weight, then bias."""
        if not self._bias:
            return v.reshape(len(v), self.classes, -1)
        weight, bias = v[:, : -self.classes], v[:, -self.classes :]
        return torch.cat([weight.reshape(len(v), self.classes, -1), bias.unsqueeze(2)], dim=2)

    def _flat(self, matrix: Tensor) -> Tensor:
        if not self._bias:
            return matrix.flatten(1)
        return torch.cat([matrix[..., :-1].flatten(1), matrix[..., -1]], dim=1)

    def product(self, v: Tensor, part: int | None = None) -> Tensor:
        matrix, total = self._matrix_of(v.double()), torch.zeros(1, dtype=torch.float64, device=v.device)
        starts = list(range(0, len(self.features), self._step))
        chosen = starts if part is None else [starts[part % len(starts)]]
        count = 0
        for start in chosen:
            h, b = self.features[start : start + self._step], self.blocks[start : start + self._step]
            u = torch.einsum("vcd,nd->nvc", matrix, h)
            total = total + torch.einsum("nvc,nd->vcd", torch.bmm(u, b), h)
            count += len(h)
        return self._flat(total / count).to(v.dtype)

    def matrix(self) -> Tensor:
        """Form H itself, ``[size, size]``, float64.

        Raises:
            InputError: it would be too large.
        """
        refuse_large(self.size)
        classes, width = self.classes, self.features.shape[1]
        result = self.features.new_zeros(classes, width, classes, width)
        for c in range(classes):
            for e in range(c, classes):
                block = self.features.T @ (self.features * self.blocks[:, c, e].unsqueeze(1)) / len(self.features)
                result[c, :, e] = block
                result[e, :, c] = block
        flat = result.reshape(self.size, self.size)
        # The flat vector has all weights before all biases; here each class has its weights and its bias.
        order = self._flat(torch.arange(self.size, device=flat.device).view(1, classes, width)).squeeze(0)
        return flat[order][:, order]


class ModelCurvature:
    """The curvature by backward passes over the training samples: the Hessian, or its part that is never negative.

    Gauss-Newton: ``mean_i Jᵀ (∇²_z ℓ_i) J`` with the Jacobian J of the outputs z. It is the Hessian where the outputs
    are linear in the parameters, or where the training has reached residuals of zero (Martens 2020, 1412.1193).
    """

    def __init__(self, task: Task, kind: str) -> None:
        self._task, self.size = task, task.per_sample.size
        self._parameters = list(task.per_sample.parameters.values())
        self._one_batch = self._gauss_newton if kind == "gauss_newton" else self._hessian

    def product(self, v: Tensor, part: int | None = None) -> Tensor:
        result, count = torch.zeros_like(v), 0
        for size, batch in self._batches(part):
            with torch.enable_grad():
                outputs, targets = self._task.forward(self._task.model, batch)
                result += self._one_batch(outputs, targets, v)
            count += size
        return result / count

    def _batches(self, part: int | None) -> Iterator[tuple[int, Any]]:
        number = len(self._task.train.loader)
        for i, (rows, batch) in enumerate(self._task.passes(self._task.train, "curvature")):
            if part is None or i == part % number:
                yield rows.stop - rows.start, batch
            if part is not None and i == part % number:
                return

    def _hessian(self, outputs: Tensor, targets: Tensor, v: Tensor) -> Tensor:
        loss = self._task.loss(outputs, targets)
        gradient = torch.autograd.grad(loss, self._parameters, create_graph=True, materialize_grads=True)
        flat = torch.cat([g.flatten() for g in gradient])
        return self._backward(flat, v.to(flat.dtype)).to(v.dtype)

    def _gauss_newton(self, outputs: Tensor, targets: Tensor, v: Tensor) -> Tensor:
        blocks = logit_hessians(self._task, outputs, targets)
        weight = torch.zeros_like(outputs, requires_grad=True)
        transposed = torch.autograd.grad(
            outputs, self._parameters, weight, create_graph=True, materialize_grads=True
        )  # Jᵀ w, whose derivative with respect to w is J
        flat = torch.cat([g.flatten() for g in transposed])
        result = []
        for rows in torch.split(v.to(flat.dtype), TOGETHER):
            (along,) = torch.autograd.grad(flat, weight, rows, retain_graph=True, is_grads_batched=True)
            curved = torch.einsum("nab,vnb->vna", blocks, along)
            result.append(self._backward(outputs, curved))
        return torch.cat(result).to(v.dtype)

    def _backward(self, of: Tensor, rows: Tensor) -> Tensor:
        """Return flat gradients of ``⟨row, of⟩`` for each row, some at a time."""
        found = []
        for part in torch.split(rows, TOGETHER):
            gradients = torch.autograd.grad(
                of, self._parameters, part, retain_graph=True, materialize_grads=True, is_grads_batched=True
            )
            found.append(torch.cat([g.flatten(1) for g in gradients], dim=1))
        return torch.cat(found)

    def matrix(self) -> Tensor:
        """Form the curvature by one product for each parameter, float64.

        Raises:
            InputError: it would be too large.
        """
        refuse_large(self.size)
        unit = torch.eye(self.size, dtype=self._parameters[0].dtype, device=self._parameters[0].device)
        matrix = self.product(unit).double()
        # Rounding leaves it not quite symmetric, and the solvers read one half.
        return (matrix + matrix.T) / 2


def _refuse_many(samples: int, classes: int) -> None:
    if samples * classes**2 > MOST_HELD:
        raise InputError(
            expected=f"at most {MOST_HELD:.2g} entries in the logit Hessians of all samples",
            found=f"{samples} samples of {classes} classes",
            todo="Use method='ekfac', fewer samples, or name the head's module in layers=[...]: it is worked on in "
            "batches then.",
        )


def refuse_large(size: int) -> None:
    """Refuse to form a matrix of so many rows.

    Raises:
        InputError: it would be too large.
    """
    if size > MOST_EXPLICIT:
        raise InputError(
            expected=f"at most {MOST_EXPLICIT} parameters, for a matrix that is formed",
            found=f"{size}",
            todo="Use method='influence_cg' or 'ekfac', or fewer layers.",
        )
