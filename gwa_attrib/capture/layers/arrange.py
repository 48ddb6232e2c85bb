"""Where the samples are in a layer's input: along the first dimension, the second, or nowhere.

Most layers see ``[sample, ...]``; some models work on ``[time, sample, feature]``; windows, frames and flattened
sequences fold positions into the first dimension, ``[sample·position, ...]``. Shapes alone can deceive: what was
learnt of a layer once is kept, and the check of the first batch proves it.
"""

from collections.abc import Sequence
from enum import Enum

from torch import Tensor

from gwa_attrib.errors import LayerError


class Layout(Enum):
    """Of a layer's leading dimensions."""

    FIRST = "samples first"
    SECOND = "samples second"
    SHARED = "no samples: one value for the whole batch"


def guess(lead: Sequence[int], samples: int, known: Layout | None = None) -> Layout:
    """The layout of leading dimensions `lead`, if it must be one; `known` decides where several fit."""
    fits = possible(lead, samples)
    if known is Layout.SECOND and len(lead) < 2:
        known = None  # one time step of a recurrent layer
    if known in fits:
        return known
    if known is not None or not fits:
        return Layout.SHARED
    return fits[0]


def possible(lead: Sequence[int], samples: int) -> list[Layout]:
    """Layouts that fit, the likeliest first."""
    if not lead:
        return [Layout.SHARED]
    fits = []
    if lead[0] == samples:
        fits.append(Layout.FIRST)
    if len(lead) > 1 and lead[1] == samples:
        fits.append(Layout.SECOND)
    if lead[0] != samples and samples and lead[0] % samples == 0 and lead[0] > 0:
        fits.append(Layout.FIRST)
    if lead[0] == 1 and samples != 1:
        fits.insert(0, Layout.SHARED)
    elif len(lead) == 1:
        fits.append(Layout.SHARED)
    return fits


def samples_first(x: Tensor, lead: int, samples: int, layout: Layout) -> Tensor:
    """``[sample, position, *event]``, where the first `lead` dimensions of `x` hold samples and positions."""
    if layout is Layout.SECOND:
        x = x.transpose(0, 1)
    return x.reshape(samples, -1, *x.shape[lead:])


def no_layout(name: str, shape: Sequence[int], samples: int) -> LayerError:
    """The error of a layer in whose input the samples cannot be told apart."""
    return LayerError(
        expected=f"the layer {name!r} to see {samples} samples along its first or second dimension",
        found=f"an input of shape {list(shape)}",
        todo="Layers that see the samples mixed or packed cannot be measured: leave it out with layers=[...], "
        "or record layers='head'.",
    )
