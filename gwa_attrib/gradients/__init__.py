"""Per-sample gradients of every layer, as products with the weights and norms."""

from collections.abc import Sequence

from torch import nn

from gwa_attrib.errors import InputError
from gwa_attrib.gradients.capture import LayerCapture
from gwa_attrib.gradients.plan import Plan, make_plan
from gwa_attrib.gradients.rules import activation, convolution, embedding, linear, normalization

__all__ = [
    "LayerCapture",
    "Plan",
    "activation",
    "convolution",
    "embedding",
    "linear",
    "make_capture",
    "make_plan",
    "normalization",
]

ENGINES = ("auto", "ghost", "opacus")


def make_capture(model: nn.Module, layers: str | Sequence[str] = "all", engine: str = "auto") -> LayerCapture:
    """Make a capture of the named layers, or of all.

    Raises:
        InputError: names that are not there, or another engine.
        LayerError: a layer that cannot be measured as it is set up.
    """
    if engine not in ENGINES:
        raise InputError(
            expected=f"an engine out of {', '.join(ENGINES)} for layers",
            found=repr(engine),
            todo="Leave engine='auto'.",
        )
    plan = make_plan(model, layers)
    if engine == "opacus":
        from gwa_attrib.gradients.opacus_engine import OpacusCapture

        return OpacusCapture(model, plan)
    return LayerCapture(model, plan)
