"""The numbers behind the figures against plain oracles, and the SVG that is made of them."""

import re
from collections import Counter
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gwa_attrib.functional import trajectory
from gwa_attrib.plot.histograms import BARS, bar_edges, fine_counts, joined
from gwa_attrib.plot.mapping import hexagons, levels_of
from gwa_attrib.reporting.figures.figure import draw
from gwa_attrib.reporting.figures.sparkline import HEIGHT, PAD, WIDTH, draw_sparkline, path_of
from gwa_attrib.reporting.figures.svg import page_svg
from gwa_attrib.reporting.sections.alignments import PANELS, chosen_epochs
from gwa_attrib.reporting.sections.classes import MOST, SHADES, busiest, shade
from gwa_attrib.reporting.sections.generalisation import is_accuracy
from gwa_attrib.reporting.signal_summaries import BINS, histogram, read_signals
from gwa_attrib.store import Run


def test_signals_are_those_of_the_trajectories(plain_run: Run) -> None:
    is_suspect = np.arange(300) < 25
    signals = read_signals(plain_run, is_suspect, np.array([7, 3]))
    alignment = plain_run.trajectory("alignment")
    p_label, correct = (torch.from_numpy(plain_run.trajectory(name)) for name in ("p_label", "correct"))
    np.testing.assert_array_equal(signals.trajectories, alignment[:, [7, 3]])
    np.testing.assert_allclose(signals.confidence, trajectory.average(p_label), atol=1e-6)
    np.testing.assert_allclose(signals.variability, trajectory.variability(p_label), atol=1e-5)
    np.testing.assert_allclose(signals.correctness, trajectory.correctness(correct) / 6, atol=1e-6)
    np.testing.assert_allclose(signals.accuracy, correct.mean(dim=1), atol=1e-6)
    assert signals.suspects.sum() == 25 * 6
    assert signals.others.sum() == 275 * 6


def test_histogram_is_numpys() -> None:
    values = np.random.default_rng(0).uniform(-1, 1, 5000)
    expected, _ = np.histogram(values, bins=BINS, range=(-1, 1))
    np.testing.assert_array_equal(histogram(values), expected)
    np.testing.assert_array_equal(fine_counts(values), expected)  # of single epochs, in plot
    assert histogram(np.array([-1.0, 1.0, np.nan])).nonzero()[0].tolist() == [0, BINS - 1]


@given(st.lists(st.integers(0, BINS - 1), min_size=1, max_size=40))
def test_bars_hold_every_count_and_part_the_signs(bins: list[int]) -> None:
    counts = np.bincount(bins, minlength=BINS)
    edges = bar_edges(counts)
    bars = joined(counts, edges)
    assert bars.sum() == len(bins)
    assert len(set(np.diff(edges))) == 1
    assert len(bars) <= BARS + 2
    assert BINS // 2 in edges or edges[0] > BINS // 2 or edges[-1] < BINS // 2


@given(st.integers(1, 500))
def test_chosen_epochs_have_both_ends(epochs: int) -> None:
    chosen = chosen_epochs(epochs)
    assert chosen[0] == 0
    assert chosen[-1] == epochs - 1
    assert len(chosen) == min(epochs, PANELS)


def test_hexagons_hold_every_sample() -> None:
    rng = np.random.default_rng(0)
    x, y, value = rng.uniform(0, 0.4, 3000), rng.uniform(0, 1, 3000), rng.uniform(0, 1, 3000)
    centres, number, mean, ones = hexagons(x, y, value, np.ones(3000))
    assert number.sum() == 3000
    np.testing.assert_allclose((number * mean).sum(), value.sum())
    np.testing.assert_allclose(ones, 1.0)
    nearest = np.abs(x[:, None] - centres[:, 0]).min(axis=1)
    assert nearest.max() < 0.4 / 46


def test_levels_are_fifths() -> None:
    assert levels_of(np.array([0.0, 0.19, 0.2, 0.6, 0.8, 1.0])).tolist() == [0, 0, 1, 3, 4, 4]


@given(st.dictionaries(st.tuples(st.integers(0, 40).map(str), st.integers(0, 40).map(str)), st.integers(1, 9)))
def test_the_map_has_the_busiest_pair_and_room_for_no_more_than_it_says(pairs: dict[tuple[str, str], int]) -> None:
    rows, columns = busiest(Counter(pairs))
    assert len(rows) <= MOST
    assert len(columns) <= MOST
    if pairs:
        assert max(pairs.values()) == max(n for (a, b), n in pairs.items() if a in rows and b in columns)


@given(st.integers(1, 1000), st.integers(1, 1000))
def test_shades_grow_with_the_count(a: int, b: int) -> None:
    low, high = sorted((a, b))
    assert 1 <= shade(low, high) <= shade(high, high) == SHADES
    assert shade(0, high) == 0


def test_names_of_accuracies() -> None:
    assert all(map(is_accuracy, ("val_accuracy", "test/acc", "Accuracy", "val-acc_top1")))
    assert not any(map(is_accuracy, ("val_loss", "macro_f1", "macc", "train_accuracy", "acc/training")))


def coordinates(path: str) -> list[list[tuple[float, float]]]:
    """The points of each stretch of a path."""
    return [
        [(float(x), float(y)) for x, y in (point.split() for point in stretch.split("L"))]
        for stretch in path.split("M")[1:]
    ]


@given(st.lists(st.one_of(st.floats(-1, 1), st.just(np.nan)), min_size=1, max_size=30), st.floats(0.1, 2))
def test_sparklines_have_a_gap_where_there_is_no_value(values: list[float], reach: float) -> None:
    column = np.array(values)
    stretches = coordinates(path_of(column, reach))
    present = ~np.isnan(column)
    assert len(stretches) == int(present[0]) + int(np.sum(present[1:] & ~present[:-1]))
    points = [point for stretch in stretches for point in dict.fromkeys(stretch)]
    assert len(points) == present.sum()
    step = (WIDTH - 2 * PAD) / max(len(values) - 1, 1)
    half = HEIGHT / 2 - PAD
    for (x, y), i in zip(points, np.flatnonzero(present), strict=True):
        assert abs(x - (PAD + i * step)) <= 0.051
        assert abs(y - (HEIGHT / 2 - half * np.clip(column[i] / reach, -1, 1))) <= 0.051


def test_sparkline_names_its_ends_and_is_escaped() -> None:
    drawing = draw_sparkline(np.array([np.nan, -0.25, 0.5]), np.full(3, np.nan), 0.5, 'al"ign<b>')
    element = ElementTree.fromstring(str(drawing))
    assert element.attrib["aria-label"] == 'al"ign<b>: −0.25 to 0.50'
    assert "no value" in draw_sparkline(np.full(3, np.nan), np.zeros(3), 0.5, "alignment")


def painted(text: str) -> str:
    def paint(figure: object) -> None:
        axes = figure.subplots()
        axes.plot([0, 1, 2], [0, 1, 0], "o-", label=text)
        axes.fill_between([0, 1], [0, 1], hatch="//", facecolor="none", edgecolor="k")
        axes.set_title(text)
        axes.legend()

    return str(draw("picture", "a title", (300, 200), paint))


@pytest.mark.parametrize("text", [r"$\frac{a}{$", "a$b", "</svg><script>alert(1)</script>", "数 🙂", "&amp; \"'"])
def test_text_in_figures_is_text(text: str) -> None:
    """No mathematics is read into it, no markup, and a character without a glyph here is no concern."""
    element = ElementTree.fromstring(painted(text))
    assert [node.text for node in element.iter("text")].count(text) == 2
    assert {node.tag for node in element.iter()} <= {
        "svg",
        "title",
        "defs",
        "g",
        "path",
        "use",
        "text",
        "clipPath",
        "rect",
        "pattern",
    }


def test_figures_have_no_styles_dates_or_loose_ids() -> None:
    drawing = painted("text")
    assert drawing == painted("text")
    element = ElementTree.fromstring(drawing)
    nodes = list(element.iter())
    assert not [node for node in nodes if "style" in node.attrib or node.tag in ("style", "metadata")]
    ids = [node.attrib["id"] for node in nodes if "id" in node.attrib]
    assert len(ids) == len(set(ids))
    assert all(name.startswith("picture-") for name in ids)
    targets = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', drawing))
    assert targets <= set(ids)
    assert set(ids) - targets == {"picture-title"}
    assert not re.search(r"\d\.\d{3}", re.sub(r"<text.*?</text>", "", drawing).split("stroke-miterlimit")[0])


def effective(element: ElementTree.Element, inherited: dict[str, str]) -> list[dict[str, str]]:
    """The paint of every leaf, by document order, with what it inherits."""
    own = {name: value for name, value in element.attrib.items() if name in ("fill", "stroke", "opacity")}
    paint = {**inherited, **own}
    children = [child for child in element if child.tag != "title"]
    return [leaf for child in children for leaf in effective(child, paint)] if children else [paint]


def test_what_siblings_share_moves_up_and_nothing_else() -> None:
    leaves = [("red", "blue"), ("red", "blue"), ("red", "green"), ("red", None)]
    body = "".join(f'<path style="fill: {fill}{f"; stroke: {stroke}" if stroke else ""}"/>' for fill, stroke in leaves)
    text = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><g>{body}</g><path style="fill: black"/></svg>'
    root = ElementTree.fromstring(page_svg(text, "name", "title"))
    expected = [{"fill": fill} | ({"stroke": stroke} if stroke else {}) for fill, stroke in leaves]
    assert effective(root, {}) == [*expected, {"fill": "black"}]
    assert root.find("g").attrib == {"fill": "red"}
