"""How pictures look: colours, the settings of the project's own figures, and how a user's axes are dressed."""

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

INK, MUTED, RULE = "#1d2733", "#5b6673", "#dfe3e8"
CALM, SUSPECT = "#2c6496", "#b3430f"
"""All samples or a curve; suspects. Their lightness differs too, and so do line, hatch or marker."""
PALE = "#c9d3dd"
LOOKS = ((CALM, "--"), ("#5a7d2a", "-."), ("#7a4b94", ":"))
"""Colour and dashes of further curves."""
BESIDE = 36
"""Characters of a legend's entries, up to which two of them stand side by side."""

STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.size": 12,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 12,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.formatter.useoffset": False,
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "hatch.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 12,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}
"""Settings of figures that the project draws for itself. A user's axes keep the user's settings."""


def plain_axes(axes: "Axes", *, grid: Literal["x", "y", "both"] = "y") -> None:
    """Light grid lines behind the data."""
    axes.grid(axis=grid, color=RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=3)


def dress(axes: "Axes") -> None:
    """Give axes of our own the colours of `STYLE`, on white, whatever the user's style sheet says."""
    axes.figure.set_facecolor("white")
    axes.set_facecolor("white")
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[:].set_color(MUTED)
    axes.tick_params(color=MUTED, labelcolor=INK)
    for text in (axes.xaxis.label, axes.yaxis.label, axes.title):
        text.set_color(INK)


def add_legend(axes: "Axes", handles: "Sequence[Artist] | None" = None, **options: Any) -> None:
    """Add a legend without a frame of what has a label (of `handles`, if given), in the colour of the axes' own labels;
    none where nothing has."""
    shown = axes.get_legend_handles_labels()[0] if handles is None else list(handles)
    if not shown:
        return
    facts = {"frameon": False, "labelcolor": axes.xaxis.label.get_color(), **options}
    # A name of a class with a dollar sign or an underscore is no formula.
    for text in axes.legend(shown, [str(handle.get_label()) for handle in shown], **facts).get_texts():
        text.set_usetex(False)


def add_legend_above(
    axes: "Axes", handles: "Sequence[Artist] | None" = None, side: Literal["left", "right"] = "left"
) -> None:
    """Add a legend outside, above the axes, where it hides nothing and nothing else is: in two columns if they fit."""
    shown = axes.get_legend_handles_labels()[0] if handles is None else list(handles)
    longest = max((len(str(handle.get_label())) for handle in shown), default=0)
    add_legend(
        axes,
        shown,
        loc=f"lower {side}",
        bbox_to_anchor=(0.0 if side == "left" else 1.0, 1.0),
        ncols=1 if longest > BESIDE else 2,
    )
