"""Sentence embeddings: the pooling against a loop, and laws of the real encoder where it is installed."""

import numpy as np
import pytest
import torch

from gwa_attrib.datasets import LabeledData, encode
from gwa_attrib.datasets.encoding.inputs import text_encoder
from gwa_attrib.datasets.encoding.texts import embed_texts, mean_of_tokens, sentence_encoder_installed
from gwa_attrib.errors import DataError

TEXTS = np.array(
    [
        "The striker scored twice in the cup final.",
        "The goalkeeper saved a penalty in the last minute of the match.",
        "The central bank raised interest rates again.",
        "Shares fell after the company warned of lower profits.",
        "",
        "word " * 500,
    ],
    dtype=object,
)


def test_the_mean_leaves_padding_out_and_has_unit_length() -> None:
    states = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
    lengths = [5, 2, 1]
    mask = torch.tensor([[int(token < length) for token in range(5)] for length in lengths])
    for row, length in enumerate(lengths):
        mean = sum(states[row, token] for token in range(length)) / length
        torch.testing.assert_close(mean_of_tokens(states, mask)[row], mean / mean.norm())


def test_the_encoder_is_named_by_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gwa_attrib.datasets.encoding.texts.PACKAGES", ("no_such_package",))
    assert text_encoder() == "TF-IDF and SVD"
    data = LabeledData("t", "t", "text", TEXTS[:4], np.array([0, 0, 1, 1]), ("sport", "money"), ("0", "1", "2", "3"))
    assert encode(data).shape[0] == 4
    assert encode(data).shape[1] < 384


installed = pytest.mark.skipif(not sentence_encoder_installed(), reason="needs gwa-attrib[text]")


@pytest.fixture(scope="module")
def embedded() -> np.ndarray:
    return embed_texts(TEXTS)


@installed
def test_embeddings_are_centred_and_of_unit_variance(embedded: np.ndarray) -> None:
    assert embedded.shape == (len(TEXTS), 384)
    assert embedded.dtype == np.float32
    np.testing.assert_allclose(embedded.mean(axis=0), 0, atol=1e-5)
    assert np.square(embedded).mean() == pytest.approx(1, abs=1e-4)


@installed
def test_order_and_batches_change_nothing(embedded: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gwa_attrib.datasets.encoding.texts.BATCH", 2)
    order = np.array([3, 0, 5, 1, 4, 2])
    np.testing.assert_allclose(embed_texts(TEXTS[order]), embedded[order], atol=1e-3)


@installed
def test_texts_of_one_subject_are_nearer_than_texts_of_two(embedded: np.ndarray) -> None:
    unit = embedded / np.linalg.norm(embedded, axis=1, keepdims=True)
    cosine = unit @ unit.T
    assert min(cosine[0, 1], cosine[2, 3]) > max(cosine[0, 2], cosine[0, 3], cosine[1, 2], cosine[1, 3])


@installed
def test_nothing_is_said_where_there_is_no_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    embed_texts(TEXTS[:2])
    assert capfd.readouterr() == ("", "")
    assert logging.is_progress_bar_enabled() == shown


def test_texts_without_any_character_are_refused() -> None:
    with pytest.raises(DataError, match="2 empty ones"):
        embed_texts(np.array(["", " \n"], dtype=object))


@installed
def test_equal_texts_have_no_direction() -> None:
    np.testing.assert_array_equal(embed_texts(np.array(["same", "same"], dtype=object)), 0)
