"""The built-in data set: handwritten digits."""

import numpy as np

from gwa_attrib.datasets.labeled import LabeledData
from gwa_attrib.datasets.labels import class_labels
from gwa_attrib.datasets.readers.registry import Options, readers, refuse_columns

LARGEST = 16
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
    pixels = np.rint(images.reshape(-1, 8, 8, 1) * (255 / LARGEST)).astype(np.uint8)
    keys = tuple(str(i) for i in range(len(labels)))
    return LabeledData("digits", location, "image", pixels, labels, class_names, keys)
