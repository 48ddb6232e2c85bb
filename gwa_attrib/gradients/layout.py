"""The place of the samples in a layer's input: along the first dimension, the second, or nowhere.

Most layers see ``[sample, ...]``; some models work on ``[time, sample, feature]``; windows, frames and flattened
sequences fold positions into the first dimension, ``[sample·position, ...]``. Shapes alone can deceive: what the check
of the first batch has proven is kept, and never guessed again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from torch import Tensor

from gwa_attrib.errors import LayerError


class Layout(Enum):
    """The layouts of a layer's leading dimensions."""

    FIRST = "samples first"
    SECOND = "samples second"
    SHARED = "no samples: one value for the whole batch"


@dataclass
class Known:
    """The knowledge about a model from earlier batches."""

    layouts: dict[str, Layout] = field(default_factory=dict)
    """The layout of each call of a layer, and of each tensor that all samples share where it meets them."""
    meetings: dict[str, frozenset[str]] = field(default_factory=dict)
    """Operations in which such a tensor meets the samples."""
    hint: Layout | None = None
    """The layout to try first where several fit and none is known."""

    def forget(self, hint: Layout | None = None) -> None:
        self.layouts.clear()
        self.meetings.clear()
        self.hint = hint

    def learn(self, name: str, layout: Layout, samples: int) -> None:
        """Keep a layout that a batch has proven; a batch of one proves nothing."""
        if samples > 1:
            self.layouts.setdefault(name, layout)

    def layout(self, name: str, lead: Sequence[int], samples: int, preferred: Layout | None = None) -> Layout:
        """Choose the layout of the dimensions `lead` of `name`; `preferred` is tried first if nothing is known."""
        return guess(lead, samples, self.layouts.get(name), self.hint or preferred)


def call_name(layer: str, call: int) -> str:
    """Return a name by which the calls of one layer in a forward pass are told apart."""
    return f"{layer} call {call + 1}" if call else layer


def guess(lead: Sequence[int], samples: int, known: Layout | None = None, preferred: Layout | None = None) -> Layout:
    """Guess the layout of leading dimensions: `known` if that fits, and no other then."""
    if samples == 1:
        # In a batch of one all that is left are positions.
        return Layout.FIRST
    fits = possible(lead, samples)
    if known is Layout.SECOND and len(lead) < 2:
        known = None  # one time step of a recurrent layer
    if known is not None or not fits:
        return known if known in fits else Layout.SHARED
    if preferred is Layout.SHARED and lead[0] == samples:
        return fits[0]
    return preferred if preferred in fits else fits[0]


def possible(lead: Sequence[int], samples: int) -> list[Layout]:
    """List the layouts that fit, the likeliest first."""
    if not lead:
        return [Layout.SHARED]
    fits = []
    if lead[0] == samples:
        fits.append(Layout.FIRST)
    if len(lead) > 1 and lead[1] == samples:
        fits.append(Layout.SECOND)
    if lead[0] != samples and lead[0] > 0 and lead[0] % samples == 0:
        fits.append(Layout.FIRST)
    if lead[0] == 1:
        # One row for the whole batch, as that of position embeddings.
        fits.insert(0, Layout.SHARED)
    elif len(lead) == 1:
        fits.append(Layout.SHARED)
    return fits


def samples_first(x: Tensor, lead: int, samples: int, layout: Layout) -> Tensor:
    """Return ``[sample, position, *event]``, where the first `lead` dimensions of `x` hold samples and positions."""
    if layout is Layout.SECOND:
        x = x.transpose(0, 1)
    positions = x.shape[:lead].numel() // samples
    return x.reshape(samples, positions, *x.shape[lead:])


def no_layout(name: str, shape: Sequence[int], samples: int) -> LayerError:
    """Return the error of a layer in whose input the samples cannot be told apart."""
    return LayerError(
        expected=f"the layer {name!r} to see {samples} samples along its first or second dimension",
        found=f"an input of shape {list(shape)}",
        todo="Layers that see the samples mixed or packed cannot be measured: leave it out with layers=[...], "
        "or record layers='head'.",
    )
