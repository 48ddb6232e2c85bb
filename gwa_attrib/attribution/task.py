"""The task of an attribution: a trained model, its loss, its training samples, and the parameters that count."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gwa_attrib.attribution.data import Forward, Loss, Samples, default_forward, finite, summed
from gwa_attrib.attribution.per_sample import PerSample
from gwa_attrib.display.progress import bar
from gwa_attrib.errors import HeadError, InputError
from gwa_attrib.hooks.heads import linear_layers_run

Checkpoint = Mapping[str, object] | str | Path
BATCH = 256
MAPS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


class Task:
    """A copy of the model in evaluation mode, and what attributors ask about it. The user's model is not touched.

    Args:
        model: Trained. Only parameters of `layers` count; the others are held fixed.
        loss: Of outputs and targets; its reduction is found out.
        train: A data set, a loader (its data set is read in order), or a pair of tensors.
        layers: "head": the linear layer that runs last; "linear": all linear layers and convolutions; "all"; or names
            of modules.
        checkpoints: State dicts, or files of them, oldest first; None: the model as it is.
        batch_size: How many samples are worked on at a time; it does not change the results.
        forward: Runs the model on a batch and returns outputs and targets; None for (inputs, targets) and dicts with
            "labels".

    Raises:
        InputError: data, loss, layers or checkpoints are not what they have to be.
        HeadError: ``layers="head"``, and no linear layer runs last.
        LayerError: a layer whose per-sample gradients cannot be measured.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        train: object,
        *,
        layers: str | Sequence[str] = "head",
        checkpoints: Sequence[Checkpoint] | None = None,
        batch_size: int = BATCH,
        forward: Forward | None = None,
        seed: int = 0,
    ) -> None:
        if batch_size < 1:
            raise InputError(expected="a batch size of at least 1", found=f"{batch_size}", todo="Pass 1 or more.")
        self.model = copy.deepcopy(model).eval()
        self.batch_size, self.seed, self.layers = batch_size, seed, layers
        self.train = Samples(train, batch_size, "training")
        self.forward: Forward = finite(forward or default_forward)
        self._checkpoints = None if checkpoints is None else list(checkpoints)
        if self._checkpoints is not None and not self._checkpoints:
            raise InputError(expected="checkpoints", found="an empty list", todo="Pass None for the model as it is.")
        batch = next(self.train.batches(self.device))
        with torch.no_grad(), linear_layers_run(self.model) as ran:
            outputs, targets = self.forward(self.model, batch)
        self.head = ran[-1] if ran else None
        """Name of the linear layer that ran last; None if none ran."""
        self.loss: Loss = summed(loss, outputs, targets)
        """The loss summed over samples."""
        self.per_sample = PerSample(self.model, self._chosen(), self.loss, self.forward, batch)

    @property
    def device(self) -> torch.device:
        """The device of the model."""
        return next(self.model.parameters()).device

    @property
    def head_layer(self) -> nn.Linear:
        """The linear layer that runs last.

        Raises:
            HeadError: none ran.
        """
        module = None if self.head is None else self.model.get_submodule(self.head)
        if not isinstance(module, nn.Linear):
            raise HeadError(
                expected="a linear layer that runs last",
                found="none that ran",
                todo="Name the parts that count: layers=[...], or layers='all'; or choose another method.",
            )
        return module

    def _chosen(self) -> str | list[str]:
        """Choose the layers, as the capture names them; their parameters become trainable, and no others."""
        modules = dict(self.model.named_modules())
        if self.layers == "all":
            if not any(p.requires_grad for p in self.model.parameters()):
                self.model.requires_grad_(True)
            return "all"
        if self.layers == "head":
            own = self.head_layer
            names = [name for name, module in modules.items() if module is own]
        elif self.layers == "linear":
            names = [name for name, module in modules.items() if isinstance(module, MAPS)]
        else:
            names = [self.layers] if isinstance(self.layers, str) else list(self.layers)
        parameters = dict(self.model.named_parameters(remove_duplicate=False))
        self.model.requires_grad_(False)
        for name in names:
            if name in modules:
                modules[name].requires_grad_(True)
            elif name in parameters:
                parameters[name].requires_grad_(True)
        return "all" if names == [""] else names

    def samples(self, source: object, role: str = "query") -> Samples:
        """Return queries, in batches of the task's size."""
        return Samples(source, self.batch_size, role)

    def checkpoints(self) -> Iterator[int]:
        """Yield number after number, with the weights of that checkpoint in the model; its own at the end."""
        if self._checkpoints is None:
            yield 0
            return
        own = copy.deepcopy(self.model.state_dict())
        try:
            for number, checkpoint in enumerate(self._checkpoints):
                state = checkpoint
                if isinstance(checkpoint, str | Path):
                    # A checkpoint that somebody sends must not run code.
                    state = torch.load(checkpoint, map_location=self.device, weights_only=True)
                try:
                    self.model.load_state_dict(state)  # type: ignore[arg-type]
                except (RuntimeError, TypeError) as error:
                    raise InputError(
                        expected=f"checkpoint {number} to be a state dict of this model",
                        found=str(error).splitlines()[0],
                        todo="Pass model.state_dict(), or files written with torch.save(model.state_dict(), file).",
                    ) from error
                yield number
        finally:
            self.model.load_state_dict(own)

    @property
    def number_of_checkpoints(self) -> int:
        """The number of checkpoints, at least one."""
        return 1 if self._checkpoints is None else len(self._checkpoints)

    def passes(self, samples: Samples, what: str) -> Iterator[tuple[slice, Any]]:
        """Yield batches with their places; progress is shown on a terminal."""
        start = 0
        for batch in bar(samples.batches(self.device), what, total=len(samples.loader)):
            size = _batch_size(batch)
            yield slice(start, start + size), batch
            start += size


def _batch_size(batch: Any) -> int:
    while not isinstance(batch, Tensor):
        batch = next(iter(batch.values())) if isinstance(batch, Mapping) else batch[0]
    return len(batch)
