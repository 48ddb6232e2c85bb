"""Pictures, texts and values of samples, from whatever a data set gives."""

import base64
import io
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gwa_attrib.datasets.content import content_reader
from gwa_attrib.datasets.labeled import LabeledData
from gwa_attrib.reporting.suspects.previews import (
    LARGEST,
    Preview,
    number_text,
    preview_of,
    text_of,
    value_text,
    values_of,
)
from gwa_attrib.reporting.wording import listed, shortened, visible, visible_lines


def shown(x: Any, label: Any = 3) -> Preview:
    return preview_of(content_reader([(x, label)])(0))


def pixels(preview: Preview) -> np.ndarray:
    assert preview.image is not None
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(preview.image.partition(",")[2]))))


GREY = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
COLOUR = np.stack([GREY, GREY // 2, 255 - GREY], axis=2)


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (GREY, GREY),
        (GREY[:, :, None], GREY),
        (COLOUR, COLOUR),
        (np.moveaxis(COLOUR, 2, 0), COLOUR),
        (torch.from_numpy(COLOUR).permute(2, 0, 1), COLOUR),
        (torch.from_numpy(GREY), GREY),
        (torch.from_numpy(COLOUR).permute(2, 0, 1) / 255, COLOUR),
        (torch.from_numpy(GREY / 255).bfloat16().unsqueeze(0) * 0, GREY * 0),
        (Image.fromarray(COLOUR), COLOUR),
        (Image.fromarray(GREY), GREY),
        (np.concatenate([COLOUR, np.full((6, 8, 1), 255, np.uint8)], axis=2), COLOUR),
        (Image.fromarray(COLOUR).convert("RGBA"), COLOUR),
    ],
)
def test_small_pictures_keep_their_pixels(x: Any, expected: np.ndarray) -> None:
    np.testing.assert_array_equal(pixels(shown(x)), expected)


def test_normalised_inputs_are_stretched_to_what_can_be_seen() -> None:
    x = torch.tensor([[-2.0, 0.0], [float("nan"), 2.0]]).unsqueeze(0)
    np.testing.assert_array_equal(pixels(shown(x)), [[0, 128], [128, 255]])
    assert pixels(shown(torch.full((1, 2, 2), 7.0))).max() == 0
    sixteen = Image.fromarray(GREY.astype(np.uint16) * 256)
    assert pixels(shown(sixteen)).max() == 255


def test_large_pictures_become_small_and_lossy() -> None:
    preview = shown(Image.new("RGB", (1600, 400), "red"))
    assert preview.size == (LARGEST, LARGEST // 4)
    assert preview.image is not None
    assert preview.image.startswith("data:image/webp;base64,")


@pytest.mark.parametrize(
    ("x", "why"),
    [
        (torch.zeros(2, 3, 4, 5), "an array of shape [2, 3, 4, 5]"),
        (np.array(["a"]), "no picture or text, but a ndarray"),
        (torch.tensor(1.0), "an array of shape []"),
        (None, "no picture or text, but a NoneType"),
    ],
)
def test_what_cannot_be_shown_says_so(x: Any, why: str) -> None:
    assert shown(x).missing == why


def test_rows_of_numbers_are_values() -> None:
    assert shown(torch.tensor([0.5, -1.0])).values == (("1", "0.5"), ("2", "−1"))
    assert shown(np.zeros(30)).values[-1] == ("…", "22 more")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (30440.0, "30,440"),
        (2021, "2021"),
        (9999.0, "9999"),
        (10_000, "10,000"),
        (1_234_567.891, "1,234,568"),
        (12.345678, "12.35"),
        (0.1, "0.1"),
        (-0.25, "−0.25"),
        (0.000123, "0.000123"),
        (1.5e-7, "1.5 × 10⁻⁷"),
        (-2e20, "−2 × 10²⁰"),
        (10**20, "100,000,000,000,000,000,000"),
        (0, "0"),
        (-0.0, "0"),
        (True, "yes"),
        (np.bool_(False), "no"),
        (np.float32(0.3), "0.3"),
        (float("nan"), "–"),
        (float("-inf"), "−∞"),
        (None, "–"),
        (pd.NA, "–"),
        (pd.Timestamp("2024-03-01"), "2024-03-01 00:00:00"),
    ],
)
def test_numbers_are_written_as_a_person_does(value: Any, text: str) -> None:
    assert value_text(value) == text


@given(st.floats(1e-4, 1e14), st.sampled_from([1, -1]))
def test_a_written_number_is_the_number_to_four_digits(size: float, sign: int) -> None:
    written = float(number_text(sign * size).replace(",", "").replace("−", "-"))
    assert written == pytest.approx(sign * size, rel=5e-4)


def test_the_order_of_columns_is_the_one_asked_for() -> None:
    row = {"a": 1, "b": 2.5, "c": "x"}
    assert values_of(row, ["c", "a", "b"]) == (("c", "x"), ("a", "1"), ("b", "2.5"))
    assert values_of(row) == (("a", "1"), ("b", "2.5"), ("c", "x"))
    assert values_of({str(i): i for i in range(12)})[-1] == ("…", "4 more")


def test_a_long_text_says_how_much_is_left_out() -> None:
    assert text_of("x" * 30, 20) == "x" * 20 + " … (10 more characters)"
    assert text_of("x" * 20, 20) == "x" * 20


@pytest.mark.parametrize(
    ("y", "label"),
    [
        (3, "3"),
        (np.int64(3), "3"),
        (torch.tensor(3), "3"),
        ("cat", "cat"),
        (torch.tensor([0.5, 0.5]), None),
        (None, None),
    ],
)
def test_labels_of_the_data(y: Any, label: str | None) -> None:
    assert shown("text", y).label == label


def test_items_without_labels() -> None:
    assert preview_of(content_reader(["one", "two"])(1)) == Preview(text="two")
    assert preview_of(content_reader(COLOUR[None])(0)).label is None


def test_labeled_data() -> None:
    data = LabeledData("n", "s", "image", GREY[None, :, :, None], np.array([1]), ("no", "yes"), ("0",))
    preview = preview_of(content_reader(data)(0))
    assert preview.label == "yes"
    np.testing.assert_array_equal(pixels(preview), GREY)


def test_nothing_hides_in_a_text() -> None:
    assert visible("a\u202eb\x00c\ud800\u2066\ufffe") == "a[U+202E]b[U+0000]c[U+D800][U+2066][U+FFFE]"
    assert visible("naïve שלום 数 🙂‍↔️") == "naïve שלום 数 🙂‍↔️"
    assert visible("a\nb\tc") == "a[U+000A]b[U+0009]c"
    assert visible_lines("a\r\nb\tc\rd\u2028") == "a\nb\tc[U+000D]d[U+2028]"
    visible("".join(map(chr, range(0x11000)))).encode("utf-8")


def test_short_forms() -> None:
    assert shortened("abcdef", 4) == "abc…"
    assert shortened("abcd", 4) == "abcd"
    assert listed([]) == ""
    assert listed(["x"]) == "x"
    assert listed(["a\u202e", "b"]) == "a[U+202E] and b"
