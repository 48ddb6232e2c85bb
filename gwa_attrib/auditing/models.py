"""Models for `audit`: a default for each kind of data, and the user's own."""

import os
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from gwa_attrib.errors import InputError, UntrustedModelError

TRUST = "GWA_ATTRIB_TRUST_MODEL"
"""Environment variable with the model that may be made although only a run names it."""

Factory = Callable[..., nn.Module]


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions around a skip connection (He et al. 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            *conv_norm(channels, channels), nn.ReLU(inplace=True), *conv_norm(channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.inner(x))


def conv_norm(channels_in: int, channels_out: int, stride: int = 1) -> list[nn.Module]:
    """A 3×3 convolution and its batch normalisation."""
    # Without a bias: the normalisation takes the mean away, and a bias with it.
    conv = nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1, bias=False)
    return [conv, nn.BatchNorm2d(channels_out)]


def residual_cnn(input_shape: tuple[int, int, int], num_classes: int, width: int = 32) -> nn.Sequential:
    """A small residual network for images of 8 to 64 pixels; 7 convolutions, `width` channels at first.

    Halves the resolution to 4 to 8 pixels and averages over them.
    """
    channels, height, _ = input_shape
    layers = [
        *conv_norm(channels, width, stride=2 if height > 32 else 1),
        nn.ReLU(inplace=True),
        *conv_norm(width, 2 * width, stride=2 if height > 8 else 1),
        nn.ReLU(inplace=True),
        ResidualBlock(2 * width),
        *conv_norm(2 * width, 4 * width, stride=2),
        nn.ReLU(inplace=True),
        ResidualBlock(4 * width),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4 * width, num_classes),
    ]
    net = nn.Sequential(*layers)
    # Convolutions on a CPU are faster so; the numbers that are recorded are the same to rounding.
    return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def mlp(input_shape: tuple[int], num_classes: int, width: int = 256) -> nn.Sequential:
    """Two hidden layers for tables and embedded texts.

    Strong dropout, because there is no augmentation that would keep it from learning the wrong labels by heart.
    """
    features = input_shape[0]
    return nn.Sequential(
        nn.Dropout(0.2 if features >= 100 else 0.0),
        nn.Linear(features, width),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(width, width),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(width, num_classes),
    )


def build_model(spec: str, kind: str, input_shape: tuple[int, ...], num_classes: int, width: int) -> nn.Module:
    """The model of ``--model``: "auto", or "module:factory" called as ``factory(input_shape, num_classes)``.

    Raises:
        InputError: the factory cannot be found, or does not make a module that maps a batch to one logit per class.
    """
    if spec == "auto":
        default: Factory = residual_cnn if kind == "image" else mlp
        return default(input_shape, num_classes, width)
    model: Any = find_factory(spec)(input_shape, num_classes)
    if not isinstance(model, nn.Module):
        raise InputError(
            expected=f"{spec} to return a torch.nn.Module",
            found=type(model).__name__,
            todo="Write `def factory(input_shape, num_classes): return MyModel(...)`.",
        )
    _check_output(model, spec, input_shape, num_classes)
    return model


def trusted_model(spec: str) -> str:
    """The model that a run names, if it may be made: a run that somebody sends must not choose what is executed.

    "auto" may, and a function of a module that is imported already or that the environment variable names.

    Raises:
        UntrustedModelError: another one.
    """
    # A module that is imported already was chosen by somebody here; importing one because run.json names it would
    # run code that came with the run.
    if spec == "auto" or spec == os.environ.get(TRUST) or spec.partition(":")[0] in sys.modules:
        return spec
    raise UntrustedModelError(
        expected="a model of our own, or one that you ask for: the run alone must not choose what is executed",
        found=f"{spec!r} in run.json",
        todo=f"If you trust the run, set the environment variable {TRUST}={spec}, or import the module first.",
    )


def find_factory(spec: str) -> Factory:
    """The function that "module:function" names.

    Raises:
        InputError: there is none.
    """
    module, _, name = spec.partition(":")
    try:
        factory: Factory = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(
            expected="--model to be 'auto' or 'module:factory', such as my_models:make_net",
            found=f"{spec!r}: {type(error).__name__}: {error}",
            todo="Run the command where `import module` works, and name a function of that module.",
        ) from error
    return factory


def model_and_inputs(spec: str) -> tuple[nn.Module, object]:
    """Call "module:function" without arguments; return its model and a batch of inputs for it.

    Raises:
        InputError: the function cannot be found, or returns something else.
    """
    function: Any = find_factory(spec)
    try:
        made = function()
    except TypeError as error:
        raise _no_pair(spec, str(error)) from error
    if not (isinstance(made, tuple) and len(made) == 2 and isinstance(made[0], nn.Module)):
        raise _no_pair(spec, f"it returned {type(made).__name__}")
    return made


def _no_pair(spec: str, found: str) -> InputError:
    return InputError(
        expected=f"{spec} to be callable without arguments and to return (model, inputs)",
        found=found,
        todo="Write `def example(): return MyModel(), torch.randn(8, 3, 32, 32)`; inputs may be a tensor, a tuple of "
        "arguments or a dict of keyword arguments.",
    )


def _check_output(model: nn.Module, spec: str, input_shape: tuple[int, ...], num_classes: int) -> None:
    model.eval()
    with torch.no_grad():
        output = model(torch.zeros(2, *input_shape))
    model.train()
    if not isinstance(output, Tensor) or output.shape != (2, num_classes):
        found = f"shape {list(output.shape)}" if isinstance(output, Tensor) else type(output).__name__
        raise InputError(
            expected=f"the model of {spec} to map a batch of shape {[2, *input_shape]} to logits {[2, num_classes]}",
            found=found,
            todo="Return raw logits, one per class.",
        )
