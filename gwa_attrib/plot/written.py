"""All pictures of a run as files: SVG, and PNG where SVG cannot be shown."""

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from gwa_attrib.errors import NotRecordedError
from gwa_attrib.files.places import local
from gwa_attrib.files.whole import whole_file
from gwa_attrib.plot.epochs import stopping, trajectories
from gwa_attrib.plot.histograms import alignments, label_scores
from gwa_attrib.plot.look import STYLE
from gwa_attrib.plot.mapping import data_map
from gwa_attrib.plot.noise import MATRIX, MOST, noise_matrix, size_for
from gwa_attrib.plot.removal import COMPARE, Compared, removal_curves
from gwa_attrib.plot.series import nothing, opened, ranked
from gwa_attrib.scores import Scores
from gwa_attrib.store import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN = 5
"""Suspects whose trajectories are drawn, the worst first."""
SIZE, DPI = (7.6, 4.6), 144
"""Width and height in inches, unless a picture needs another; and the resolution of the PNG."""
Picture = tuple[str, tuple[float, float], "Callable[[Axes], Axes]"]


@dataclass(frozen=True)
class Figures:
    """The files that `write_figures` wrote, and the pictures it did not."""

    written: Mapping[str, tuple[Path, Path]]
    """SVG and PNG of each picture, by its name."""
    missing: Mapping[str, str]
    """Why the run has nothing for a picture, and what to do, by its name."""
    boxes: tuple[str, ...]
    """Pictures with a character that no font of this machine has: a box in the PNG, text in the SVG."""

    def to_dict(self) -> dict[str, object]:
        """Plain values."""
        written = {name: [str(path) for path in paths] for name, paths in self.written.items()}
        return {"written": written, "missing": dict(self.missing), "boxes": list(self.boxes)}


def write_figures(
    run: Run | str | Path, folder: str | Path, *, scores: Scores | None = None, comparison: Compared | None = None
) -> Figures:
    """Write each picture that the run has as ``NAME.svg`` and ``NAME.png``, named as the functions that draw them.

    What is there under these names is replaced; each file appears whole or not at all.

    Args:
        run: A run, or its folder.
        folder: For the files; it is made if need be.
        scores: Whose suspects, label scores and noise matrix; those of ``rank(run, "mislabeled")`` if None.
        comparison: Of methods, for the removal curves.

    Raises:
        RunFormatError: the run has no epoch yet, or is damaged.
        InputError: scores of other samples, or a folder that is not on this machine.
        RunError: a file cannot be written.
    """
    read, target = opened(run), local(folder, "the figures")
    written: dict[str, tuple[Path, Path]] = {}
    missing: dict[str, str] = {}
    boxes = []
    for name, size, draw in _pictures(read, scores, comparison):
        try:
            svg, png, boxed = rendered(name, size, draw)
        except NotRecordedError as error:
            missing[name] = str(error)
            continue
        written[name] = (target / f"{name}.svg", target / f"{name}.png")
        for path, content in zip(written[name], (svg, png), strict=True):
            with whole_file(path) as half:
                half.write_bytes(content)
        boxes += [name] if boxed else []
    return Figures(written, missing, tuple(boxes))


def rendered(name: str, size: tuple[float, float], draw: "Callable[[Axes], Axes]") -> tuple[bytes, bytes, bool]:
    """SVG and PNG of what is drawn on empty axes, the same bytes each time; and whether the PNG lacks a glyph."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with _house_style(name), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        figure = Figure(figsize=size, dpi=DPI, layout="constrained", facecolor="white")
        FigureCanvasAgg(figure)
        draw(figure.subplots())
        files = io.BytesIO(), io.BytesIO()
        figure.savefig(files[0], format="svg", facecolor="white", metadata={"Date": None})
        figure.savefig(files[1], format="png", facecolor="white")
    missing = [one for one in caught if "missing from font" in str(one.message)]
    for one in caught:
        if one not in missing:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    return files[0].getvalue(), files[1].getvalue(), bool(missing)


@contextlib.contextmanager
def _house_style(name: str) -> Iterator[None]:
    import matplotlib.style

    with matplotlib.style.context(["default", {**STYLE, "svg.hashsalt": name}]):
        yield


def _pictures(run: Run, scores: Scores | None, comparison: Compared | None) -> "Iterator[Picture]":
    """Each picture's name, size in inches, and what draws it on axes."""
    found = cache(lambda: ranked(run, scores))
    yield "alignments", SIZE, lambda ax: alignments(run, scores=found(), ax=ax)
    yield "trajectories", SIZE, lambda ax: trajectories(run, _worst(found()), ax=ax)
    yield "data_map", (8.6, 4.8), lambda ax: data_map(run, scores=found(), ax=ax)
    yield "noise_matrix", size_for(min(len(run.class_names), MOST)), lambda ax: _noise(found(), run, ax)
    yield "stopping", (7.6, 5.4), lambda ax: stopping(run, ax=ax)
    yield "removal_curves", SIZE, lambda ax: _removal(comparison, ax)
    yield "label_scores", SIZE, lambda ax: label_scores(found(), ax=ax)


def _worst(scores: Scores) -> Sequence[int]:
    worst: list[int] = scores.top(SHOWN).tolist()
    if not worst:
        raise nothing("samples with a score", "none", "Rank a run in which samples were seen.")
    return worst


def _noise(scores: Scores, run: Run, ax: "Axes") -> "Axes":
    if MATRIX not in scores.meta:
        raise nothing("scores with a noise matrix", repr(scores.method), 'Pass rank(run, "mislabeled").')
    return noise_matrix(scores, class_names=run.class_names, ax=ax)


def _removal(comparison: Compared | None, ax: "Axes") -> "Axes":
    if comparison is None:
        raise nothing("a comparison of methods with removal", "a run alone", COMPARE)
    return removal_curves(comparison, ax=ax)
