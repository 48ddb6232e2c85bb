"""What notebooks show: small, with the right numbers, and nothing in it that comes from the data but text."""

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gwa_attrib as gwa
from gwa_attrib.display.notebook import COLUMNS, ROWS, small_html
from gwa_attrib.display.text import legible
from gwa_attrib.recording.diagnosis import Diagnosis, Finding
from gwa_attrib.store import Run
from tests.reporting.hostile import EVIL, EVIL_METRIC, NAMES
from tests.small_runs import blobs, record_run

ELEMENTS = {"div", "p", "strong", "table", "thead", "tbody", "tr", "th", "td"}
ATTRIBUTES = {("style", "text-align: left"), ("style", "text-align: right")}
LARGEST = 20_000


class Parsed(HTMLParser):
    """The elements with their attributes, the cells of each row, and all text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.open: list[str] = []
        self.attributes: set[tuple[str, str | None]] = set()
        self.rows: list[list[str]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.open.append(tag)
        self.attributes |= set(attrs)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    handle_decl = handle_pi = unknown_decl = handle_comment


def parsed(thing: Any) -> Parsed:
    text = thing._repr_html_()
    assert len(text.encode("utf-8")) < LARGEST
    found = Parsed(text)
    assert set(found.elements) <= ELEMENTS
    assert found.attributes <= ATTRIBUTES
    assert len(found.rows) <= ROWS + 1
    assert all(len(row) <= COLUMNS for row in found.rows)
    whole = "".join(found.texts)
    assert whole == legible(whole, len(whole))  # nothing hides in it
    return found


def a_run(path: Path, names: tuple[str, ...], epochs: int, metric: str = "val_accuracy") -> Run:
    x, labels = blobs(20 * len(names), len(names), 6)
    keys = [f"{names[i % len(names)]}{i}" for i in range(len(x))]
    metrics = [{metric: 0.5}] * epochs
    return record_run(path, x, labels, names, epochs=epochs, keys=keys, metrics=metrics)


@pytest.fixture(scope="module", params=[NAMES, EVIL], ids=["plain", "hostile"])
def names(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return tuple(request.param)


@pytest.fixture(scope="module")
def run(names: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Run:
    return a_run(tmp_path_factory.mktemp("shown") / f"<b>{names[0][:2]}", names, 12, EVIL_METRIC)


def verification(names: tuple[str, ...]) -> gwa.Verification:
    table = pd.DataFrame({"change": [0.01234567], "low": [np.nan], "high": [0.05]}, index=[names[0]])
    facts = {
        "by": names[1],
        "asked_of": names[2],
        "asked": 60,
        "trained_on": 9,
        "dropped": 1,
        "relabelled": 2,
        "seeds": 3,
    }
    return gwa.Verification(table, pd.Series({names[3]: 0.875}), pd.DataFrame(), facts)


def methods(names: tuple[str, ...]) -> gwa.MethodComparison:
    table = pd.DataFrame(
        {"average_precision": np.linspace(0.9, 0.1, 30), "auroc": 0.5, "seconds": 1.0, "source": names[0]}
    )
    table.index = pd.Index([f"{names[i % len(names)]}{i}" for i in range(30)])
    facts = {"run": names[0], "samples": 1000, "errors": 100, "truth": names[1]}
    nobody = np.zeros(0, dtype=bool)
    return gwa.MethodComparison(table, {names[0]: names[1]}, {}, nobody, nobody, facts, {})


def comparison(names: tuple[str, ...]) -> gwa.Comparison:
    table = pd.DataFrame({"gwa": [0.5, np.nan, 0.1], "accuracy": [0.9, 0.8, 0.7], names[3]: 1.0}, index=list(names[:3]))
    return gwa.Comparison("gwa", table)


def diagnosis(names: tuple[str, ...]) -> Diagnosis:
    fine = [Finding(f"{names[0]}{i}", 10, "linear 1", 1e-7, "") for i in range(12)]
    return Diagnosis((*fine, Finding(names[1], 10, names[2], float("nan"), names[3])), 1e-3)


THINGS: dict[str, Callable[[tuple[str, ...]], Any]] = {
    "verification": verification,
    "methods": methods,
    "comparison": comparison,
    "diagnosis": diagnosis,
}


@pytest.mark.parametrize("kind", list(THINGS))
def test_results_have_the_same_markup_whatever_they_are_called(kind: str) -> None:
    plain, hostile = (parsed(THINGS[kind](tuple(names))) for names in (NAMES, EVIL))
    assert plain.elements == hostile.elements
    assert [len(row) for row in plain.rows] == [len(row) for row in hostile.rows]
    drawn = " ".join(hostile.texts)
    assert "alert(1)" in drawn


def test_a_run_shows_its_last_epochs(run: Run, names: tuple[str, ...]) -> None:
    found = parsed(run)
    head, *rows = found.rows
    assert head[:3] == ["epoch", "n", "mean"]
    assert [row[0] for row in rows] == [str(epoch) for epoch in range(2, 12)]
    assert rows[-1][2] == f"{run.epochs()['mean'].iloc[-1]:.4g}".replace("-", "−")
    text = "".join(found.texts)
    assert f"samples {len(run.sample_ids)}" in text
    assert "10 of 12 epochs, the last" in text
    assert f"classes {len(names)}" in text


def test_scores_show_the_most_suspicious(run: Run) -> None:
    scores = gwa.rank(run)
    found = parsed(scores)
    head, *rows = found.rows
    assert head[:3] == ["sample_id", "mislabeled", "rank"]
    assert {"key", "given_label", "predicted_label", "is_label_issue", "label_score"} == set(head[3:])
    assert [row[0] for row in rows] == [str(i) for i in scores.top(10)]
    assert [row[2] for row in rows] == [str(i) for i in range(1, 11)]
    key = rows[0][head.index("key")]
    assert key == legible(run.samples["key"][scores.top(1)[0]], 28)
    assert f"10 of {len(scores)} samples, the most suspicious" in "".join(found.texts)


def test_scores_of_queries() -> None:
    values = np.arange(24.0).reshape(2, 12)
    found = parsed(gwa.Scores(values, np.array([5, 9]), "tracin", "low"))
    assert found.rows[0] == ["sample_id", *map(str, range(7))]
    assert found.rows[2] == ["9", *(str(i) for i in range(12, 19))]
    assert "8 of 13 columns" in "".join(found.texts)


@pytest.mark.parametrize("columns", [{}, {"key": np.zeros(0, dtype=object)}])
def test_no_samples_and_no_values(columns: dict[str, np.ndarray]) -> None:
    ids = np.zeros(0, dtype=np.int64)
    assert len(parsed(gwa.Scores(np.zeros(0), ids, "none", "low", columns)).rows) == 1
    assert parsed(gwa.Scores(np.zeros((0, 3)), ids, "none", "low")).rows == [["sample_id", "0", "1", "2"]]
    unseen = parsed(gwa.Scores(np.full(3, np.nan), np.arange(3), "none", "low"))
    assert [row[1] for row in unseen.rows[1:]] == ["–"] * 3
    assert "without a value 3" in "".join(unseen.texts)


def test_results_with_nothing_in_them() -> None:
    empty = pd.DataFrame()
    nobody = np.zeros(0, dtype=bool)
    parsed(gwa.Comparison("gwa", empty))
    parsed(gwa.Verification(empty, pd.Series(dtype=float), empty, {}))
    parsed(gwa.MethodComparison(empty, {}, {}, nobody, nobody, {}, {}))
    assert "every block can be recorded" in "".join(parsed(Diagnosis((), 1e-3)).texts)


def test_a_run_without_an_epoch(tmp_path: Path, names: tuple[str, ...]) -> None:
    found = parsed(a_run(tmp_path / "empty", names, 0))
    assert not found.rows
    assert "no epoch yet" in "".join(found.texts)


def test_a_damaged_run_says_so(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", NAMES, 2)
    for file in (tmp_path / "run" / "epochs").iterdir():
        file.write_bytes(b"<script>")
    text = "".join(parsed(run).texts)
    assert "cannot be read" in text
    assert "Expected" in text


def test_a_run_that_is_gone(tmp_path: Path) -> None:
    run = dataclasses.replace(a_run(tmp_path / "run", NAMES, 2), path=tmp_path / "gone")
    parsed(run)


def test_values_of_one_comparison_by_hand() -> None:
    found = parsed(verification(NAMES))
    assert found.rows == [["comparison", "change", "low", "high"], ["cat", "0.01235", "–", "0.05"]]
    text = "".join(found.texts)
    assert "accuracy, newt: 0.875" in text
    assert "relabelled 2" in text


def test_blocks_with_a_problem_come_first() -> None:
    assert [row[0] for row in parsed(diagnosis(NAMES)).rows[1:3]] == ["dog", "cat0"]


cells = st.one_of(
    st.none(),
    st.text(),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.just("&" * 500),
    st.just("🙂" * 99),
    st.just(pd.NaT),
)


@given(
    st.lists(st.lists(cells, min_size=9, max_size=9), max_size=12),
    st.lists(st.text(), min_size=9, max_size=9),
    st.text(),
)
def test_any_table_is_small_and_no_more_than_text(rows: list[list[Any]], heads: list[str], name: str) -> None:
    table = pd.DataFrame(rows, columns=heads, dtype=object).rename_axis(index=name)

    class Shown:
        def _repr_html_(self) -> str:
            return small_html(name, {name: name, "&" * 999: "&" * 999}, table)

    found = parsed(Shown())
    assert len(found.rows) == min(len(rows), ROWS) + 1


def test_the_largest_is_small_enough() -> None:
    table = pd.DataFrame([["&" * 100] * 9] * 20, columns=["&" * 100] * 9).rename_axis(index="&" * 100)
    assert 15_000 < len(small_html("&" * 999, {"&" * 999: "&" * 999}, table)) < LARGEST


def test_a_notebook_needs_no_figure_library(run: Run) -> None:
    code = f"""
import json, sys
import gwa_attrib as gwa
run = gwa.open_run({str(run.path)!r})
shown = [run._repr_html_(), gwa.rank(run)._repr_html_()]
print(json.dumps([all(shown), [name for name in ("matplotlib", "jinja2", "IPython") if name in sys.modules]]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [True, []]
