"""Inputs of any kind as one float32 tensor that a network can learn from at once: centred, of unit scale."""

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float32, Shaped
from torch import Tensor

from gwa_attrib.datasets.labeled import LabeledData

EMBEDDING, TFIDF = "all-MiniLM-L6-v2", "TF-IDF and SVD"
CHUNK = 4096
"""Samples that are computed with in float64 at a time: a data set may fill much of the memory."""


Embedded = Float32[np.ndarray, "sample feature"]


def encode(data: LabeledData, embedded: Embedded | None = None) -> Float32[Tensor, "sample ..."]:
    """The inputs as float32; the same for the same data. Labels and `columns` have no part in it.

    ======  ========================================================================================================
    image   ``[sample, channel, height, width]``; each channel with mean 0 and variance 1 over the data set, a constant
            one only centred
    table   ``[sample, feature]``; see `encode_table`
    text    ``[sample, feature]``; see `embed_texts`, or `encode_texts` where no sentence encoder is installed
    ======  ========================================================================================================

    Args:
        data: Inputs of one kind.
        embedded: Of texts, what `embed` gave earlier: spares the encoder, which takes minutes for 10,000 texts.

    Raises:
        DataError: texts without a single character.
    """
    if data.kind == "image":
        return torch.from_numpy(encode_images(np.asarray(data.inputs)))
    if isinstance(data.inputs, pd.DataFrame):
        from gwa_attrib.datasets.encoding.columns import encode_table

        return torch.from_numpy(encode_table(data.inputs))
    embedded = embed(data) if embedded is None else embedded
    if embedded is not None:
        from gwa_attrib.datasets.encoding.texts import scaled

        return torch.from_numpy(scaled(embedded))
    from gwa_attrib.datasets.encoding.texts import encode_texts

    return torch.from_numpy(encode_texts(np.asarray(data.inputs)))


def embed(data: LabeledData) -> Embedded | None:
    """Embed each text by the sentence encoder; None where there is none, or for data of another kind.

    Raises:
        DataError: texts without a single character.
    """
    if data.kind != "text" or text_encoder() != EMBEDDING:
        return None
    from gwa_attrib.datasets.encoding.texts import read_texts

    return read_texts(np.asarray(data.inputs))


def text_encoder() -> str:
    """Name what `encode` uses for texts: a sentence embedding if its packages are installed, else TF-IDF."""
    from gwa_attrib.datasets.encoding.texts import sentence_encoder_installed

    return EMBEDDING if sentence_encoder_installed() else TFIDF


def encode_images(
    images: Shaped[np.ndarray, "sample height width channel"],
) -> Float32[np.ndarray, "sample channel height width"]:
    """Channels first, each with mean 0 and variance 1 over all samples and pixels; a constant one only centred."""
    n, height, width, channels = images.shape
    result = np.empty((n, channels, height, width), dtype=np.float32)
    parts = [slice(start, start + CHUNK) for start in range(0, n, CHUNK)]
    for c in range(channels):
        channel = images[..., c]
        mean = channel.mean(dtype=np.float64)
        variance = sum(float(np.square(channel[part] - mean).sum()) for part in parts) / channel.size
        # Told by its values, and not by a small variance: rounding of the mean would be blown up to variance 1.
        constant = channel.min() == channel.max()
        scale = np.float64(1.0 if constant else 1 / np.sqrt(variance))
        for part in parts:
            result[part, c] = 0.0 if constant else (channel[part] - mean) * scale
    return result
