"""The page as text: order, structure, policy, escaping, size, and the same bytes each time."""

import base64
import dataclasses
import hashlib
import itertools
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import gwa_attrib as gwa
from gwa_attrib.store import Run
from tests.reporting.hostile import EVIL, NAMES
from tests.reporting.markup import Node, facts, read_page
from tests.small_runs import blobs, record_run

NAVIGATION = ["verdict", "gallery", "classes", "suspect_table", "background"]
"""Sections of these runs, which have no duplicates, features or groups that stand out: what is empty is not there."""
FOLDED = ["alignments", "generalisation", "data_map", "recorded", "methods"]
REPORTS = pytest.mark.parametrize("name", ["plain_report", "hostile_report"])


@pytest.fixture
def page(name: str, request: pytest.FixtureRequest) -> Node:
    return read_page(request.getfixturevalue(name))


@REPORTS
def test_sections_stand_in_their_order(page: Node) -> None:
    assert [node.attributes["id"] for node in page.all("section")] == NAVIGATION
    assert [node.attributes["href"] for node in page.all("nav")[0].all("a")] == [f"#{name}" for name in NAVIGATION]
    folded = page.by_id("background").all("details")
    assert [node.attributes["id"] for node in folded if node.attributes.get("class") == "part"] == FOLDED
    assert not [node for node in folded if node.attributes.get("class") == "part" and "open" in node.attributes]


@REPORTS
def test_headings_never_skip_a_level(page: Node) -> None:
    levels = [int(node.tag[1]) for node in page.all("h1", "h2", "h3", "h4", "h5", "h6")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


@REPORTS
def test_language_and_title_are_set(page: Node) -> None:
    assert page.all("html")[0].attributes["lang"] == "en"
    assert page.all("title")[0].text.strip()
    assert page.all("main")[0].attributes["id"] == page.all("a")[0].attributes["href"].removeprefix("#")


@REPORTS
def test_ids_are_unique_and_references_lead_somewhere(page: Node) -> None:
    nodes = page.all()
    ids = Counter(node.attributes["id"] for node in nodes if "id" in node.attributes)
    assert max(ids.values()) == 1
    for node in nodes:
        for name in ("aria-labelledby", "for"):
            assert set(node.attributes.get(name, "").split()) <= set(ids)
        for name, value in node.attributes.items():
            if name == "href" and value.startswith("#"):
                assert value[1:] in ids
            for target in re.findall(r"url\(#([^)]*)\)", value):
                assert target in ids


@REPORTS
def test_nothing_that_the_policy_would_block(page: Node) -> None:
    """No style attribute, no handler, and every style and script is one that the policy names by its hash."""
    for node in page.all():
        assert "style" not in node.attributes
        assert not [name for name in node.attributes if name.startswith("on")]
    policy = next(n.attributes["content"] for n in page.all("meta") if "http-equiv" in n.attributes)
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    parts = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    for tag, part in (("style", "style-src"), ("script", "script-src")):
        run = [node for node in page.all(tag) if node.attributes.get("type") != "application/json"]
        hashes = [base64.b64encode(hashlib.sha256(node.text.encode()).digest()).decode() for node in run]
        assert parts[part].split() == [f"'sha256-{digest}'" for digest in hashes]


@REPORTS
def test_nothing_is_loaded(page: Node) -> None:
    for node in page.all():
        for name in ("src", "href", "srcset", "action", "data", "poster", "xlink:href"):
            assert node.attributes.get(name, "#").startswith(("#", "data:"))
        assert node.tag not in {"iframe", "object", "embed", "form", "base"}
    assert "@import" not in "".join(node.text for node in page.all("style"))
    assert "url(" not in "".join(node.text for node in page.all("style"))


@REPORTS
def test_figures_are_drawn(page: Node) -> None:
    drawings = [node for node in page.all("svg") if node.attributes.get("class") != "spark"]
    sparks = [node for node in page.all("svg") if node.attributes.get("class") == "spark"]
    assert len(drawings) == 3
    assert len(sparks) == len(page.by_id("cards").all("li")) + 1, "and one to make others from"
    assert all(node.all("title")[0].text for node in (*drawings, *page.by_id("cards").all("svg")))
    assert len(page.all("table")) >= 4


@REPORTS
def test_pictures_are_well_formed_xml(name: str, request: pytest.FixtureRequest) -> None:
    text = request.getfixturevalue(name).read_text(encoding="utf-8")
    drawings = re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL)
    assert len(drawings) > 20
    for drawing in drawings:
        ElementTree.fromstring(drawing)


def test_hostile_texts_stay_text(hostile_report: Path) -> None:
    page = read_page(hostile_report)  # raises where a tag is broken open
    assert len(page.all("script")) == 5
    assert not page.all("b", "img")
    cards = page.by_id("cards").text
    for name in (*EVIL[:4], "[U+202E]right-to-left[U+0000]", EVIL[5], EVIL[6]):
        assert name in cards
    assert facts(page)["classes"] == list(EVIL)
    raw = hostile_report.read_text(encoding="utf-8")
    assert not set(raw) & {"\u202e", "\x00"}
    assert "49" not in page.by_id("classes").all("th")[-1].text


def test_a_mail_does_not_tell_where_the_data_lies(hostile_report: Path, hostile_run: Run) -> None:
    raw = hostile_report.read_text(encoding="utf-8")
    assert "/home/someone" not in raw
    assert "photos" in raw
    assert str(hostile_run.path.parent) not in raw


def test_suspects_are_those_of_the_ranking(plain_run: Run, plain_report: Path) -> None:
    page = read_page(plain_report)
    frame = gwa.rank(plain_run).to_frame().query("is_label_issue").sort_values("label_score", kind="stable")
    assert len(frame) == 25
    known = facts(page)
    ids, keys, given, proposed, score = zip(*known["suspects"], strict=True)
    assert list(ids) == frame.index.tolist()
    assert list(keys) == frame["key"].tolist()
    assert [known["classes"][i] for i in given] == frame["given_label"].tolist()
    assert [known["classes"][i] for i in proposed] == frame["predicted_label"].tolist()
    np.testing.assert_allclose(score, frame["label_score"], atol=1e-6)
    cards = page.by_id("cards").all("li")
    assert [int(card.all("input")[0].attributes["name"][9:]) for card in cards] == frame.index.tolist()


def test_the_verdict_says_number_expectation_and_check(plain_report: Path) -> None:
    verdict = " ".join(read_page(plain_report).by_id("verdict").text.replace("\u00a0", " ").split())
    assert "25 of 300 labels look wrong." in verdict
    assert "of the first 20 about 19 wrong 18 to 20" in verdict
    assert "of the first 25 about 24 wrong 23 to 25" in verdict
    assert "stop looking after about 25" in verdict
    assert "AUROC of the ranking" in verdict
    assert "0.990" in verdict
    assert "not learnt" not in verdict


def test_notes_are_shown(plain_report: Path) -> None:
    assert "2 files were left out." in read_page(plain_report).by_id("verdict").text


SUSPECTS, CLASSES = 12_000, 30


@pytest.fixture(scope="module")
def large_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    x, labels = blobs(SUSPECTS, CLASSES, 0)
    names = [f"class {i}" for i in range(CLASSES)]
    return record_run(tmp_path_factory.mktemp("large") / "run", x, labels, names, epochs=20)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["photographs", "texts", "rows"])
def test_size_of_a_large_report(kind: str, large_run: Run, tmp_path: Path) -> None:
    """More than 10,000 suspects, and photographs that do not compress: each can be decided on, and is seen."""
    ranked = gwa.rank(large_run)
    every = np.ones(SUSPECTS, dtype=bool)
    scores = dataclasses.replace(ranked, columns={**ranked.columns, "is_label_issue": every})
    path = gwa.report(large_run, tmp_path / "large.html", data=LARGE[kind](SUSPECTS), scores=scores)
    page = read_page(path)
    assert path.stat().st_size < 5_000_000
    known = facts(page)
    assert len(known["suspects"]) == 10_000
    assert len(page.by_id("cards").all("li")) == 60
    assert len(known["cards"]["tracks"]) == 9_940
    shown = {"photographs": known["cards"]["sheets"]["sizes"], "texts": known["cards"]["texts"]}.get(kind)
    shown = known["cards"]["rows"] if kind == "rows" else shown
    assert sum(one is not None for one in shown) == 9_940
    assert "the 10,000 most suspicious of 12,000 suspects are in this page" in page.by_id("gallery").text


def _photographs(count: int) -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 256, (1, 60, 45, 3), dtype=np.uint8)
    return np.broadcast_to(noise, (count, 60, 45, 3))


LARGE = {
    "photographs": _photographs,
    "texts": lambda count: [f"text {i} " + "many words " * 300 for i in range(count)],
    "rows": lambda count: np.random.default_rng(0).normal(size=(count, 40)),
}


SAME_BYTES = """
import sys
import gwa_attrib as gwa
import gwa_attrib.reporting
assert not {"pandas", "matplotlib", "jinja2", "torch"} & set(sys.modules), "the report is imported before it is used"
import matplotlib
settings = lambda: {name: repr(matplotlib.rcParams[name]) for name in matplotlib.rcParams if name != "backend"}
before = settings()
print(gwa.report(gwa.open_run(sys.argv[1]), sys.argv[2]))
assert settings() == before
assert "matplotlib.pyplot" not in sys.modules
"""


def test_the_same_run_gives_the_same_bytes(hostile_run: Run, tmp_path: Path) -> None:
    """In another process too, where sets have another order; and matplotlib is left as it was."""
    here = gwa.report(hostile_run, tmp_path / "here.html")
    command = [sys.executable, "-c", SAME_BYTES, str(hostile_run.path), str(tmp_path / "there.html")]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": "12345"})
    assert here.read_bytes() == (tmp_path / "there.html").read_bytes()
    assert gwa.report(hostile_run, tmp_path / "here.html").read_bytes() == (tmp_path / "there.html").read_bytes()


def test_class_pairs_count_the_suspects(plain_run: Run, plain_report: Path) -> None:
    frame = gwa.rank(plain_run).to_frame().query("is_label_issue")
    table = read_page(plain_report).by_id("classes").all("table")[1]
    rows = table.all("tbody")[0].all("tr")
    columns = [cell.text for cell in table.all("thead")[0].all("tr")[1].all("th")[1:]]
    assert [row.all("th")[0].text for row in rows] == list(NAMES)
    for row in rows:
        for column, cell in zip(columns, row.all("td"), strict=True):
            pair = (frame["given_label"] == row.all("th")[0].text) & (frame["predicted_label"] == column)
            assert cell.text == (str(pair.sum()) if pair.any() else "")
