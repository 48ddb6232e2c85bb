"""The data sets that are known by name: handwritten digits, and Fashion-MNIST from its four published files."""

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from gwa_attrib.datasets.labeled import LabeledData
from gwa_attrib.datasets.labels import class_labels
from gwa_attrib.datasets.readers.registry import Options, readers, refuse_columns
from gwa_attrib.errors import DataError

DARKEST = 16
"""The pixels count dark points in a 4×4 block: 0 to 16."""


@readers.register("digits", source="scikit-learn load_digits; Alpaydin and Kaynak, UCI 1998")
def read_digits(location: str, options: Options) -> LabeledData:
    """1,797 handwritten digits of 8×8 pixels that come with scikit-learn.

    Pixels are brought from 0..16 to 0..255, rounded, so that they show like those of any other image.
    """
    from sklearn.datasets import load_digits

    refuse_columns("digits", options)
    images, values = load_digits(return_X_y=True)
    images, values = images[: options.limit], values[: options.limit]
    labels, class_names = class_labels(values)
    pixels = np.rint(images.reshape(-1, 8, 8, 1) * (255 / DARKEST)).astype(np.uint8)
    keys = tuple(str(i) for i in range(len(labels)))
    return LabeledData("digits", location, "image", pixels, labels, class_names, keys)


DEFAULT_FOLDER = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts the files."""

IMAGES, LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"

CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


@readers.register("fashion-mnist", source="Xiao, Rasul, Vollgraf 2017, arXiv 1708.07747")
def read_fashion_mnist(location: str, options: Options) -> LabeledData:
    """60,000 training images of clothes, 28×28 pixels, from Debian's package or from fashion-mnist:FOLDER.

    Raises:
        DataError: the files are not there, or damaged.
    """
    refuse_columns("fashion-mnist", options)
    folder = Path(location) if location else DEFAULT_FOLDER
    pixels = read_idx(_file(folder, IMAGES), dimensions=3, limit=options.limit)
    values = read_idx(_file(folder, LABELS), dimensions=1, limit=options.limit)
    if len(pixels) != len(values) or (len(values) and values.max() >= len(CLASS_NAMES)):
        raise DataError(
            expected=f"as many labels as images in {folder}, in 0..9",
            found=f"{len(pixels)} images and {len(values)} labels up to {max(values, default=0)}",
            todo="Fetch the files again: they belong to different data sets.",
        )
    labels, numbers = class_labels(values)
    keys = tuple(str(i) for i in range(len(labels)))
    names = tuple(CLASS_NAMES[int(number)] for number in numbers)
    return LabeledData("fashion-mnist", location, "image", pixels[..., None], labels, names, keys)


def _file(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.is_file():
        raise DataError(
            expected=f"{IMAGES} and {LABELS} in {folder}",
            found=f"no {name} there",
            todo="On Debian and Ubuntu run `apt install dataset-fashion-mnist`; elsewhere download the files from "
            "github.com/zalandoresearch/fashion-mnist and give fashion-mnist:FOLDER.",
        )
    return path


def read_idx(path: Path, *, dimensions: int, limit: int | None = None) -> UInt8[np.ndarray, "..."]:
    """An array of bytes in the IDX format (LeCun's MNIST page): big-endian magic 0x0800 + dimensions, sizes, values.

    Raises:
        DataError: the file is something else, or damaged.
    """
    try:
        with gzip.open(path) as file:
            magic, *shape = struct.unpack(f">{dimensions + 1}I", file.read(4 * (dimensions + 1)))
            if magic != 0x0800 + dimensions:
                raise ValueError(f"the number {magic:#x} at its start")
            whole = limit is None or limit >= shape[0]
            shape[0] = shape[0] if whole else limit
            size = int(np.prod(shape, dtype=object))
            content = file.read(size)
            if len(content) != size:
                raise ValueError(f"{len(content)} values instead of {size}")
            if whole and file.read(1):  # reading on to the end also compares the checksum
                raise ValueError(f"more than {size} values")
    except (OSError, EOFError, ValueError, struct.error, zlib.error, OverflowError, MemoryError) as error:
        raise DataError(
            expected=f"{path} to be a gzipped IDX file of bytes in {dimensions} dimensions",
            found=f"{type(error).__name__}: {error}",
            todo="Fetch the file again.",
        ) from error
    return np.frombuffer(content, dtype=np.uint8).reshape(shape).copy()
