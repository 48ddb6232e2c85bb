"""Reports as people meet them, in a real Chromium: of audits of each kind of data, of a Trainer run, and those that are
committed. Opened without a network, clicked through, in both widths and colour schemes, and printed."""

import base64
import os
import re
import time
from pathlib import Path

import jaxtyping
import numpy as np
import pandas as pd
import pytest

import gwa_attrib as gwa
from tests import ROOT
from tests.reporting.browser import Browser, needs_chromium
from tests.reporting.real_audits import AUDITS

pytestmark = [pytest.mark.browser, needs_chromium, pytest.mark.slow]
COMMITTED = sorted((ROOT / "reports").rglob("*.html"))
LABEL_REPORTS = [path for path in COMMITTED if path.parent.name == "reports"]


class Reports:
    """Each made when a test first asks for it."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        self._factory, self._made = factory, {path.stem: path for path in LABEL_REPORTS}

    def __getitem__(self, name: str) -> Path:
        if name not in self._made:
            self._made[name] = {**AUDITS, "trainer": _trainer}[name](self._factory.mktemp(name))
        return self._made[name]


@pytest.fixture(scope="session")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Reports:
    return Reports(tmp_path_factory)


def _trainer(folder: Path) -> Path:
    pytest.importorskip("transformers", reason="needs the extra hf")
    from tests.integrations.test_trainer_report import every_sample, recorded, tokenised, trainer

    # The data sets of `datasets` are none of torch's, which the types of the loaders say.
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        run = recorded(folder / "run", trainer(folder))
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
    return gwa.report(run, folder / "report.html", data=tokenised(), scores=every_sample(run))


NAMES = [*AUDITS, "trainer", *(path.stem for path in LABEL_REPORTS)]
every_report = pytest.mark.parametrize("name", NAMES)


def opened(browser: Browser, path: Path) -> Browser:
    browser.open(path.as_uri())
    browser.evaluate("localStorage.clear()")
    browser.open(path.as_uri())
    return browser


@pytest.fixture
def page(browser: Browser, reports: Reports, name: str) -> Browser:
    return opened(browser, reports[name])


def size(browser: Browser, width: int, height: int, scheme: str = "light") -> None:
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    browser.call(
        "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
    )


@every_report
def test_every_decision_works_and_comes_out(page: Browser, name: str, reports: Reports, tmp_path: Path) -> None:
    """A card of each kind, a row of the table, all the rest: in the counts, in the other view, and in the file."""
    page.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    total = page.evaluate("report.suspects.length")
    assert total >= 6
    for index, choice in enumerate(("keep", "relabel", "drop")):
        page.evaluate(f"document.querySelectorAll('#cards .card')[{index}].querySelector('[value={choice}]').click()")
    page.evaluate(
        "(s => { s.value = 'drop'; s.dispatchEvent(new Event('change')) })"
        "(document.querySelector('#suspects tr[data-index=\"3\"] select'))"
    )
    status = "document.querySelector('.status').textContent"
    assert page.evaluate(status) == f"4 of {total:,} decided: 1 keep, 1 relabel, 2 drop."
    assert page.evaluate("document.querySelectorAll('#cards .card')[3].dataset.decision") == "drop"
    assert page.evaluate("document.querySelector('#suspects tr[data-index=\"1\"] select').value") == "relabel"
    doubtful = total - page.evaluate("report.facts.doubtfulFrom")
    page.evaluate("document.getElementById('accept-all').click()")
    page.evaluate("document.getElementById('accept-every').click()")
    left = page.evaluate("report.suspects.filter((_, index) => !report.state(index).decision).length")
    assert left <= doubtful
    assert page.evaluate("report.suspects.every((_, i) => i >= report.facts.doubtfulFrom || report.state(i).decision)")
    page.evaluate("document.querySelector('.download').click()")
    file, deadline = tmp_path / "decisions.csv", time.monotonic() + 15
    while not (file.exists() and file.stat().st_size):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    frame = pd.read_csv(file, dtype=str, keep_default_na=False)
    assert len(frame) == total - left
    assert frame["decision"].tolist()[:4] == ["keep", "relabel", "drop", "drop"]
    assert page.console == []
    assert [url for url in page.requests if not url.startswith(("data:", "blob:"))] == [reports[name].as_uri()]


@every_report
def test_every_suspect_has_a_card_when_it_is_asked_for(page: Browser, name: str) -> None:
    """To the last one, with something to see in it."""
    for _ in range(200):
        if page.evaluate("document.getElementById('gallery-more').hidden"):
            break
        page.evaluate("document.getElementById('gallery-more').click()")
    cards = "[...document.querySelectorAll('#cards .card')]"
    assert page.evaluate(f"{cards}.length") == page.evaluate("report.suspects.length")
    page.wait_for("[...document.querySelectorAll('#cards canvas')].every(canvas => canvas.dataset.drawn)")
    empty = f"{cards}.filter(card => !card.querySelector('.preview').children.length).length"
    assert page.evaluate(empty) == 0
    if name != "fashion-mnist":  # its report is about arrays whose package may be absent
        assert page.evaluate(f"{cards}.filter(card => card.querySelector('.missing')).length") == 0
    last = f"{cards}.at(-1)"
    page.evaluate(f"{last}.querySelector('[value=keep]').click()")
    assert page.evaluate(f"report.state(Number({last}.dataset.index)).decision") == "keep"
    assert page.console == []


@every_report
@pytest.mark.parametrize(("width", "height"), [(1400, 1000), (400, 800)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_first_screen_has_the_verdict_and_suspects(
    page: Browser, name: str, width: int, height: int, scheme: str
) -> None:
    size(page, width, height, scheme)
    box = "document.querySelector('{}').getBoundingClientRect().{}"
    assert page.evaluate(box.format("#verdict .lead", "bottom")) < height
    assert page.evaluate(box.format("#cards .card .preview", "top")) < height - 20
    page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    light = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert light == (scheme == "light")
    assert page.evaluate(CONTRAST) >= 4.5
    page.call("Emulation.clearDeviceMetricsOverride")
    assert page.console == []


# The lowest contrast of plain text (WCAG 2) among elements that hold text of their own.
CONTRAST = """(() => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const luminance = (colour) => {
    const linear = (c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = numbers(colour).slice(0, 3).map((c) => linear(c / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (numbers(colour)[3] !== 0) return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  let lowest = 21;
  const texts = 'p, td, th, dt, dd, summary, button:not(:disabled), nav a, .status, .labels bdi';
  for (const element of document.querySelectorAll(texts)) {
    if (![...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim())) continue;
    const [a, b] = [luminance(getComputedStyle(element).color), luminance(behind(element))].sort((x, y) => y - x);
    lowest = Math.min(lowest, (a + 0.05) / (b + 0.05));
  }
  return lowest;
})()"""


@every_report
def test_printed_it_has_eight_pages_at_most(page: Browser, name: str) -> None:
    answer = page.call("Page.printToPDF", paperWidth=8.27, paperHeight=11.69, printBackground=True, timeout=60)
    pages = len(re.findall(rb"/Type\s*/Page\b", base64.b64decode(answer["data"])))
    assert 1 <= pages <= 8


def test_a_row_begins_with_what_speaks_against_its_label(browser: Browser, reports: Reports, tmp_path: Path) -> None:
    opened(browser, reports["table"])
    first = browser.evaluate(
        "[...document.querySelectorAll('#cards .card')].map(c => c.querySelector('dt').textContent)"
    )
    assert set(first) <= {"income", "city", "score"}
    values = browser.evaluate("[...document.querySelectorAll('#cards dd')].map(d => d.textContent)")
    assert any(re.fullmatch(r"[345]\d,\d{3}", value) for value in values)
    assert not [value for value in values if "e+" in value]
    keys = browser.evaluate("[...document.querySelectorAll('#cards .key')].map(k => k.textContent)")
    assert all(re.fullmatch(r"1[012]\d\d", key) for key in keys), "the id column is the key"


def test_texts_are_whole_on_demand(browser: Browser, reports: Reports) -> None:
    opened(browser, reports["texts"])
    longest = (
        "[...document.querySelectorAll('#cards .card')].sort((a, b) => b.textContent.length - a.textContent.length)[0]"
    )
    assert browser.evaluate(f"getComputedStyle({longest}.querySelector('blockquote')).textAlign") in ("start", "left")
    before = browser.evaluate(f"{longest}.querySelector('blockquote').clientHeight")
    hidden = browser.evaluate(f"{longest}.querySelector('blockquote').scrollHeight") > before
    assert hidden
    browser.evaluate(f"{longest}.scrollIntoView()")
    browser.wait_for(f"getComputedStyle({longest}.querySelector('.whole')).display !== 'none'")
    browser.evaluate(f"{longest}.querySelector('.whole').click()")
    assert browser.evaluate(f"{longest}.querySelector('blockquote').clientHeight") > before
    wide = browser.evaluate("document.querySelector('#cards .card').clientWidth")
    assert browser.evaluate("document.querySelector('#cards blockquote').clientWidth") > 0.9 * wide


def test_pictures_are_those_of_the_files(browser: Browser, reports: Reports) -> None:
    """In their own proportions, not those of the square that was trained on."""
    opened(browser, reports["pictures"])
    sizes = browser.evaluate("[...document.querySelectorAll('#cards img')].map(i => [i.naturalWidth, i.naturalHeight])")
    assert {tuple(one) for one in sizes} <= {(120, 90), (90, 100)}
    assert len(sizes) > 0
    assert "cut.jpg" in browser.evaluate("document.querySelector('#verdict').textContent")


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: str(path.relative_to(path.parents[2])))
def test_committed_pages_are_quiet(browser: Browser, path: Path) -> None:
    """Nothing on the console, nothing refused by the policy, nothing loaded; nothing wider than a phone."""
    opened(browser, path)
    size(browser, 400, 800)
    time.sleep(0.1)
    assert browser.evaluate("document.documentElement.scrollWidth") <= 400
    browser.call("Emulation.clearDeviceMetricsOverride")
    assert browser.console == []
    assert [url for url in browser.requests if not url.startswith("data:")] == [path.as_uri()]


def test_applied_and_verified_with_the_commands_of_the_page(browser: Browser, reports: Reports, tmp_path: Path) -> None:
    """From the page to a cleaned folder: the very text of the dialog, with the place of the download put in."""
    import shlex
    import subprocess
    import sys

    opened(browser, reports["pictures"])
    browser.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    for index in range(4):
        browser.evaluate(f"document.querySelectorAll('#cards .card')[{index}].querySelector('[value=relabel]').click()")
    browser.evaluate("document.querySelector('.download').click()")
    browser.wait_for("document.getElementById('after').open")
    file, deadline = tmp_path / "decisions.csv", time.monotonic() + 15
    while not (file.exists() and file.stat().st_size):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    for which in ("after-command", "after-verify"):
        words = shlex.split(browser.evaluate(f"document.getElementById('{which}').textContent"))
        assert words[0] == "gwa-attrib"
        words = [str(file) if word == "~/Downloads/decisions.csv" else word for word in words]
        more = ["--seeds", "1", "--json"] if words[1] == "verify" else ["--json"]
        done = subprocess.run(
            [sys.executable, "-m", "gwa_attrib.cli", *words[1:], *more],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert done.returncode == 0, done.stderr
    cleaned = Path(str(reports["pictures"].parent) + "-cleaned")
    frame = pd.read_csv(file, dtype=str)
    assert not list(cleaned.rglob("cut.jpg"))
    assert len(list(cleaned.rglob("*.jpg"))) == 150
    for row in frame.itertuples():
        assert (cleaned / row.new_label / row.key.partition("/")[2]).exists()
    assert np.unique(frame["decision"]).tolist() == ["relabel"]
