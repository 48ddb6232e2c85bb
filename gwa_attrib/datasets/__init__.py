"""Data sets with given labels: what `audit` reads, the same data as a tensor, and labels made wrong on purpose."""

import gwa_attrib.datasets.readers.built_in
import gwa_attrib.datasets.readers.csv_file
import gwa_attrib.datasets.readers.image_folder
import gwa_attrib.datasets.readers.npz
import gwa_attrib.datasets.readers.parquet_file  # noqa: F401  (importing a reader registers it)
from gwa_attrib.datasets.encoding.inputs import embed, encode
from gwa_attrib.datasets.flip import flip_kinds, flip_labels, known_look_alikes, look_alikes
from gwa_attrib.datasets.labeled import LabeledData
from gwa_attrib.datasets.labels import class_positions
from gwa_attrib.datasets.loading import load

__all__ = [
    "LabeledData",
    "class_positions",
    "embed",
    "encode",
    "flip_kinds",
    "flip_labels",
    "known_look_alikes",
    "load",
    "look_alikes",
]
