"""The axes that are drawn on, and texts of a data set on them, which are drawn as they are."""

from typing import TYPE_CHECKING, Any

from gwa_attrib.display.text import legible
from gwa_attrib.plot.look import dress

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LITERAL: dict[str, Any] = {"parse_math": False, "usetex": False}
"""Properties of a text in which a dollar sign is a dollar sign."""


def axes_for(ax: "Axes | None", size: tuple[float, float] = (7.2, 4.4)) -> "Axes":
    """The given axes, or those of a new figure of pyplot, `size` in inches: a notebook shows it."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt  # only here: it chooses a backend, which is no business of ours with axes given

    axes: Axes = plt.subplots(figsize=size, layout="constrained")[1]
    dress(axes)
    return axes


def label_of(text: object, most: int = 40) -> str:
    """A text of the data as the label of a curve, which a legend then draws as it is, also one that the user makes.

    Mathematics is read into a text with two dollar signs unless they are escaped, and a label that begins with an
    underscore is no label.
    """
    import matplotlib as mpl

    name = legible(text, most)
    name = f" {name}" if name.startswith("_") else name
    return name.replace("$", r"\$") if mpl.rcParams["text.parse_math"] else name
