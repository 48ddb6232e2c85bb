"""Samples shown one by one outside the gallery: what they look like, their label and a number."""

from typing import TypedDict

import numpy as np

from gwa_attrib.reporting.context import Context
from gwa_attrib.reporting.suspects.previews import Preview
from gwa_attrib.reporting.wording import shortened, visible


class Tile(TypedDict):
    """The values of a tile, for the template."""

    id: int
    key: str
    given: str
    preview: Preview
    value: str
    note: str


def tile(context: Context, row: int, value: str, note: str) -> Tile:
    """Values for the tile of the sample in this row of the run's samples."""
    run = context.run
    sample = run.samples.iloc[row]
    label = int(sample["label"])
    key = visible(sample["key"])
    return {
        "id": int(sample["sample_id"]),
        "key": f"sample {key}" if key.isdecimal() else key,
        "given": shortened(visible(run.class_names[label]), 60) if label >= 0 else "never seen",
        "preview": context.preview(int(sample["sample_id"])),
        "value": value,
        "note": note,
    }


def wide(tiles: list[Tile]) -> bool:
    """Tell whether the tiles need room for texts or values."""
    return any(of["preview"].text is not None or of["preview"].values for of in tiles)


def row_of(context: Context, sample_id: int) -> int:
    """Row of a sample id."""
    return int(np.searchsorted(context.run.sample_ids, sample_id))
