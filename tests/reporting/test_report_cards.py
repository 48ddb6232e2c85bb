"""What the cards are made of: the order of columns, contact sheets, tracks of letters, and where the run lies."""

import base64
import io
import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gwa_attrib.reporting.figures.sparkline import LEVELS, POINTS, path_of, track
from gwa_attrib.reporting.page import place_of
from gwa_attrib.reporting.suspects.cards import TEXTS, _fitting
from gwa_attrib.reporting.suspects.evidence import BINS, COMMONEST, SMOOTHING, bins_of, order_of_columns
from gwa_attrib.reporting.suspects.sheets import ACROSS, PER_SHEET, SIDES, contact_sheets, held_side


def naive(frame: pd.DataFrame, labels: np.ndarray, classes: int, row: int, proposed: int) -> list[float]:
    """Evidence of each column against the label of a row, counted one value at a time."""
    found = []
    for name in frame:
        bins = bins_of(frame[name])
        count = [[SMOOTHING] * (int(bins.max()) + 1) for _ in range(classes)]
        for label, where in zip(labels, bins, strict=True):
            if label >= 0:
                count[label][where] += 1
        share = [count[label][bins[row]] / sum(count[label]) for label in (proposed, labels[row])]
        found.append(float(np.log(share[0]) - np.log(share[1])))
    return found


def test_columns_are_ordered_by_what_they_say_against_the_label() -> None:
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 3, 200)
    labels[:5] = -1
    frame = pd.DataFrame(
        {
            "number": labels + draw.normal(0, 0.5, 200),
            "gaps": np.where(draw.random(200) < 0.3, np.nan, labels * 2.0),
            "word": draw.choice(["a", "b", "c"], 200),
            "both": np.where(labels == 1, "x", None),
            "constant": 1.0,
            "flag": labels == 2,
        }
    )
    rows = np.flatnonzero(labels >= 0)[:40]
    proposed = (labels[rows] + 1) % 3
    orders = order_of_columns(frame, labels, 3, rows, proposed)
    for row, other, order in zip(rows, proposed, orders, strict=True):
        against = dict(zip(frame, naive(frame, labels, 3, row, other), strict=True))
        values = [against[name] for name in order]
        assert sorted(order) == sorted(frame)
        assert all(a >= b - 1e-12 for a, b in itertools.pairwise(values))


def test_bins_hold_equally_many_and_the_missing_apart() -> None:
    values = pd.Series([*np.arange(100.0), np.nan, np.inf])
    bins = bins_of(values)
    assert np.bincount(bins).tolist() == [10] * BINS + [2]
    words = pd.Series([f"w{min(i, 120)}" for i in range(200)] + [None])
    found = bins_of(words)
    assert found[-1] == COMMONEST + 1
    assert found.max() == COMMONEST + 1
    assert found[150] == 0, "the commonest is the first"


def picture(number: int, size: tuple[int, int] = (40, 30)) -> Image.Image:
    return Image.new("RGB", size, (number % 256, 255 - number % 256, 128))


def cell(sheets, i: int) -> np.ndarray:
    """The pixels of picture number i, as the page cuts them out."""
    raw = base64.b64decode(sheets.files[i // PER_SHEET].partition(",")[2])
    at, (width, height) = i % PER_SHEET, sheets.sizes[i]
    x, y = (at % ACROSS) * sheets.side, (at // ACROSS) * sheets.side
    return np.asarray(Image.open(io.BytesIO(raw)).convert("RGB"))[y : y + height, x : x + width]


def test_each_picture_is_in_its_cell() -> None:
    pictures = [None if i % 17 == 3 else picture(i) for i in range(230)]
    sheets = contact_sheets(pictures)
    assert len(sheets.files) == 3
    assert sheets.side == 40, "small pictures are not made smaller"
    for i, one in enumerate(pictures):
        if one is None:
            assert sheets.sizes[i] is None
        else:
            assert sheets.sizes[i] == (40, 30)
            np.testing.assert_allclose(cell(sheets, i)[5:-5, 5:-5].mean((0, 1)), one.getpixel((0, 0)), atol=6)


def test_pictures_shrink_until_they_fit_and_then_the_last_are_left_out() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 90, 90, 3), dtype=np.uint8)
    pictures = [Image.fromarray(one) for one in noise]
    sides = []
    for room in (10_000_000, 300_000, 60_000, 8_000):
        sheets = contact_sheets(pictures, room)
        sides.append(sheets.side)
        assert sum(len(base64.b64decode(file.partition(",")[2])) for file in sheets.files) <= 1.15 * room
        assert len(sheets.sizes) == 300
    assert sides == sorted(sides, reverse=True)
    assert sides[0] == 90
    assert sides[-1] == SIDES[-1]
    assert sheets.sizes[-1] is None
    assert contact_sheets([None] * 5).files == ()
    assert contact_sheets([]).sizes == ()


def test_pictures_are_read_no_smaller_than_a_sheet_can_show_them() -> None:
    assert held_side(10) == SIDES[0]
    sides = [held_side(count) for count in (10, 1000, 10_000, 100_000)]
    assert sides == sorted(sides, reverse=True)
    assert held_side(10_000) >= 32


@given(st.lists(st.one_of(st.floats(-1, 1), st.just(float("nan"))), min_size=1, max_size=POINTS))
def test_a_track_has_the_gaps_and_heights_of_the_sparkline(values: list[float]) -> None:
    array = np.array(values)
    letters = track(array, 1.0)
    assert [letter == "." for letter in letters] == np.isnan(array).tolist()
    heights = [LEVELS.index(letter) / 31.5 - 1 for letter in letters if letter != "."]
    np.testing.assert_allclose(heights, array[~np.isnan(array)], atol=0.5 / 31.5 + 1e-9)
    assert path_of(array, 1.0).count("M") == len([part for part in letters.split(".") if part])


def test_a_long_track_has_its_ends() -> None:
    letters = track(np.linspace(-1, 1, 500), 1.0)
    assert len(letters) == POINTS
    assert (letters[0], letters[-1]) == ("A", "_")


@pytest.mark.parametrize("lengths", [[10] * 50, [3000] * 1000, [10] * 900 + [50_000] * 100, [0, 5, 10_000_000]])
def test_texts_are_cut_where_all_of_them_fit(lengths: list[int]) -> None:
    texts = ["x" * length for length in lengths]
    shown = _fitting([*texts, None])
    assert shown.pop() is None
    kept = [text.count("x") for text in shown]
    assert sum(kept) <= TEXTS
    most = max(kept)
    assert kept == [min(length, most) for length in lengths]
    for length, text in zip(lengths, shown, strict=True):
        assert ("more characters" in text) == (length > most)
    if sum(lengths) > TEXTS and max(lengths) < 20_000:
        assert sum(min(length, most + 1) for length in lengths) > TEXTS, "no room is left over"


def test_the_page_knows_its_run_by_where_it_lies(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "a b"
    for page, folder in (
        (run / "report.html", "."),
        (tmp_path / "runs" / "r.html", "a b"),
        (tmp_path / "pages" / "r.html", "../runs/a b"),
    ):
        assert place_of(run, page) == {"folder": folder, "name": "a b"}
    assert place_of(run, Path("/elsewhere/r.html")) == {"folder": None, "name": "a b"}
