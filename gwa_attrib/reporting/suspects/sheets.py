"""Contact sheets: small pictures of many samples in a few files.

A WebP of 32 by 32 pixels is for the most part its header; a hundred of them on one sheet share it. That is what lets
a page with ten thousand suspects show each of them and stay a file that can be sent.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gwa_attrib.reporting.suspects.previews import encoded, reduced, uri_of

if TYPE_CHECKING:
    import PIL.Image

SIDES = (96, 64, 48, 32, 24, 16)
"""Pixels of the longer side that are tried, until all pictures fit."""
PER_SHEET, ACROSS = 100, 10
ROOM = 1_900_000
"""Bytes of all sheets together; a third more as text in the page."""
QUALITY = 60
BYTES_A_PIXEL = 0.1
"""Bytes that a pixel of such a sheet costs at least: grey drawings 0.1 to 0.2, photographs up to 0.35."""

Size = tuple[int, int]


@dataclass(frozen=True)
class Sheets:
    """Pictures of some samples, in their order: number i is the (i mod 100)-th cell of sheet i div 100."""

    side: int
    """Pixels of a cell's side."""
    files: tuple[str, ...]
    """Data URIs."""
    sizes: tuple[Size | None, ...]
    """Width and height of each picture within its cell, from the top left; None without one."""


def held_side(count: int, room: int = ROOM) -> int:
    """The side to which pictures can be reduced while they are read: on no sheet are they larger."""
    largest = (room / max(count, 1) / BYTES_A_PIXEL) ** 0.5
    return min((side for side in SIDES if side >= largest), default=SIDES[0])


def contact_sheets(pictures: "Sequence[PIL.Image.Image | None]", room: int = ROOM) -> Sheets:
    """Draw pictures on sheets, as large as all of them fit into `room` bytes.

    Args:
        pictures: PIL pictures, or None where there is none.
        room: Bytes. If not even the smallest fit, the last ones are left out.
    """
    if all(picture is None for picture in pictures):
        return Sheets(SIDES[-1], (), (None,) * len(pictures))
    side, each = _side(pictures, room)
    shown = pictures[: int(room / each)]
    files, sizes = [], []
    for first in range(0, len(shown), PER_SHEET):
        cells = [_reduced(picture, side) for picture in shown[first : first + PER_SHEET]]
        sizes += [None if cell is None else cell.size for cell in cells]
        files.append(uri_of(*encoded(_sheet(cells, side), lossless=False, quality=QUALITY)))
    return Sheets(side, tuple(files), (*sizes, *([None] * (len(pictures) - len(shown)))))


def _side(pictures: "Sequence[PIL.Image.Image | None]", room: int) -> tuple[int, float]:
    """The largest side at which all fit, judged by a sheet of some of them; and the bytes of a picture on it."""
    present = [picture for picture in pictures if picture is not None]
    # Evenly over the ranking: neighbours in it look alike, and would misjudge the others.
    some = [present[i] for i in np.unique(np.linspace(0, len(present) - 1, PER_SHEET).astype(int)).tolist()]
    largest = max(max(picture.size) for picture in present)
    # Small ones as they are, rather than made smaller to the next of the sizes.
    sides = sorted({min(largest, SIDES[0]), *(side for side in SIDES if side < largest)}, reverse=True)
    for side in sides:
        cells = [_reduced(picture, side) for picture in some]
        each = len(encoded(_sheet(cells, side), lossless=False, quality=QUALITY)[1]) / len(cells)
        if each * len(pictures) <= room:
            break
    return side, each


def _reduced(picture: "PIL.Image.Image | None", side: int) -> "PIL.Image.Image | None":
    return None if picture is None else reduced(picture, side)


def _sheet(cells: "Sequence[PIL.Image.Image | None]", side: int) -> "PIL.Image.Image":
    from PIL import Image

    rows = -(-len(cells) // ACROSS)
    grey = all(cell is None or cell.mode == "L" for cell in cells)
    sheet = Image.new("L" if grey else "RGB", (ACROSS * side, rows * side))
    for (x, y), cell in zip(_places(side), cells, strict=False):
        if cell is not None:
            sheet.paste(cell, (x, y))
    return sheet


def _places(side: int) -> Iterator[tuple[int, int]]:
    for i in range(PER_SHEET):
        yield (i % ACROSS) * side, (i // ACROSS) * side
