"""Texts as vectors, without a pretrained model: weighted counts of words, and of them the main directions."""

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float32, Shaped

from gwa_attrib.errors import DataError

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

MOST_FEATURES = 50_000
MOST_DIMENSIONS = 256


def encode_texts(
    texts: Shaped[np.ndarray, " sample"], dimensions: int = MOST_DIMENSIONS
) -> Float32[np.ndarray, "sample feature"]:
    """TF-IDF of words and pairs of words, projected on its first singular directions (latent semantic analysis).

    Each feature has mean 0. One common scale makes the mean variance 1, so that the first directions stay the largest.
    Where words leave more than half of the texts without a feature (scripts without spaces, single characters), groups
    of 1 to 3 characters stand in for words.

    Args:
        texts: object array of str.
        dimensions: The most features; fewer if there are not so many samples or words.

    Raises:
        DataError: there is not a single character in all the texts.
    """
    from sklearn.utils.extmath import randomized_svd

    weights = _weights(texts)
    size = max(1, min(dimensions, weights.shape[0] - 1, weights.shape[1] - 1))
    left, values, _ = randomized_svd(weights, n_components=size, n_iter=4, random_state=0)
    projected = left * values
    projected -= projected.mean(axis=0)
    scale = np.sqrt(np.mean(np.square(projected)))
    return np.asarray(projected / scale if scale > 1e-6 else np.zeros_like(projected), dtype=np.float32)


def _weights(texts: Shaped[np.ndarray, " sample"]) -> "csr_matrix":
    words = _tfidf(texts, analyzer="word", ngram_range=(1, 2))
    if words is not None and np.mean(words.getnnz(axis=1) > 0) > 0.5:
        return words
    characters = _tfidf(texts, analyzer="char_wb", ngram_range=(1, 3))
    if characters is None:
        raise only_empty_texts(len(texts))
    return characters


def only_empty_texts(number: int) -> DataError:
    """The error of texts without a single character."""
    return DataError(
        expected="texts to learn from", found=f"{number} empty ones", todo="Check the column with the texts."
    )


def _tfidf(texts: Shaped[np.ndarray, " sample"], **how: Any) -> "csr_matrix | None":
    """Leaves out what occurs in a single text, unless that leaves too little; None if there is nothing to count."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    for least in (2, 1):
        vectorizer = TfidfVectorizer(
            min_df=least, max_features=MOST_FEATURES, sublinear_tf=True, dtype=np.float32, **how
        )
        try:
            weights = vectorizer.fit_transform(texts)
        except ValueError:  # scikit-learn's word for an empty vocabulary
            continue
        if weights.shape[1] > 1 or least == 1:
            return weights
    return None
