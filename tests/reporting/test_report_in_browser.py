"""The report in a real Chromium: offline, inert, usable by keyboard, and its decisions come back whole."""

import io
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import gwa_attrib as gwa
from gwa_attrib.cleaning.decisions import COLUMNS
from gwa_attrib.store import Run
from tests.reporting.browser import Browser, needs_chromium
from tests.reporting.hostile import EVIL, EVIL_METRIC

pytestmark = [pytest.mark.browser, needs_chromium]


@pytest.fixture
def downloads(browser: Browser, tmp_path: Path) -> Path:
    browser.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    return tmp_path


def opened(browser: Browser, path: Path) -> Browser:
    browser.open(path.as_uri())
    browser.evaluate("report.seen.clear(), report.clear(), report.storeNow()")
    browser.open(path.as_uri())
    return browser


def choose(browser: Browser, selector: str, value: str, event: str = "change") -> None:
    browser.evaluate(
        f"(s => {{ s.value = '{value}'; s.dispatchEvent(new Event('{event}')) }})(document.querySelector('{selector}'))"
    )


def accept_all(browser: Browser) -> None:
    browser.evaluate("document.getElementById('accept-all').click()")
    browser.evaluate("document.getElementById('accept-every').click()")


def stored(browser: Browser) -> None:
    """Wait until the decisions are in the browser's storage, which is a moment after they are made."""
    browser.evaluate("report.storeNow()")


def downloaded(folder: Path) -> pd.DataFrame:
    file, deadline = folder / "decisions.csv", time.monotonic() + 15
    while not (file.exists() and file.stat().st_size):
        assert time.monotonic() < deadline, "no decisions.csv was downloaded"
        time.sleep(0.02)
    return pd.read_csv(file, dtype=str, keep_default_na=False)


@pytest.mark.parametrize("name", ["plain_report", "hostile_report"])
def test_opens_offline_and_asks_for_nothing(browser: Browser, name: str, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(name)
    opened(browser, path)
    accept_all(browser)
    browser.evaluate("document.getElementById('clear-all').click()")
    assert browser.console == []
    assert browser.dialogs == []
    assert [url for url in browser.requests if not url.startswith("data:")] == [path.as_uri()]


def test_the_policy_stops_what_does_not_belong(browser: Browser, plain_report: Path, tmp_path: Path) -> None:
    """The guard itself works: a script, a handler, a style and a picture that are put in afterwards do nothing."""
    text = plain_report.read_text(encoding="utf-8")
    intruder = (
        "<script>window.broken = 1</script><style>h1 { color: rgb(1, 2, 3) }</style>"
        "<img src=x onerror='window.broken = 2'><img src='http://example.org/pixel.png'>"
    )
    path = tmp_path / "broken.html"
    path.write_text(text.replace("<main", intruder + "<main"), encoding="utf-8")
    browser.open(path.as_uri())
    assert browser.evaluate("window.broken === undefined")
    assert browser.evaluate("getComputedStyle(document.querySelector('h1')).color") != "rgb(1, 2, 3)"
    assert len([line for line in browser.console if "Content Security Policy" in line]) >= 3
    assert (
        browser.evaluate(
            "(() => { try { document.body.innerHTML = '<p>'; return 'set' } catch { return 'stopped' } })()"
        )
        == "stopped"
    )


def test_styles_and_pictures_are_applied(browser: Browser, plain_report: Path) -> None:
    opened(browser, plain_report)
    assert browser.evaluate("getComputedStyle(document.querySelector('.cards')).display") == "grid"
    assert browser.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert browser.evaluate("document.images.length") == 25
    assert browser.evaluate("document.querySelector('.drawing text').getBoundingClientRect().height > 8")


def test_hostile_texts_are_shown_and_do_nothing(browser: Browser, hostile_report: Path) -> None:
    opened(browser, hostile_report)
    assert browser.evaluate("document.scripts.length") == 5
    assert browser.evaluate("document.images.length") == 0
    assert browser.evaluate("document.querySelectorAll('main b, main [onerror]').length") == 0
    text = browser.evaluate("document.body.innerText")
    for name in EVIL[:4]:
        assert name in text
    assert "[U+202E]right-to-left[U+0000]" in text
    assert "{{ 7 * 7 }}&amp;<b>" in text
    assert EVIL_METRIC in browser.evaluate("document.querySelector('#generalisation svg').textContent")
    assert "\u202e" not in text
    assert "secret" not in browser.evaluate("document.documentElement.outerHTML")


def test_decisions_by_keyboard(browser: Browser, hostile_run: Run, hostile_report: Path, downloads: Path) -> None:
    """Keep, relabel to another class than proposed, and drop, with Tab, arrows, space and Enter; then download."""
    opened(browser, hostile_report)
    for card, presses in enumerate((0, 1, 2)):
        browser.evaluate(f"document.querySelectorAll('.card')[{card}].querySelector('input').focus()")
        browser.press(" ", 32, " ")
        for _ in range(presses):
            browser.press("ArrowRight", 39)
        browser.press("Tab", 9)
        if card == 1:
            assert browser.evaluate("document.activeElement.tagName") == "SELECT"
            browser.press("ArrowDown", 40)
        browser.press("Tab", 9)
        browser.press("=", 187, "=")
    browser.evaluate("document.querySelector('.download').focus()")
    browser.press("Enter", 13, "\r")
    frame = downloaded(downloads)

    worst = gwa.rank(hostile_run).to_frame().query("is_label_issue").sort_values("label_score", kind="stable").head(3)
    assert list(frame.columns) == list(COLUMNS)
    assert list(frame["decision"]) == ["keep", "relabel", "drop"]
    assert frame["sample_id"].tolist() == worst.index.astype(str).tolist()
    assert [cell.removeprefix("'") for cell in frame["key"]] == worst["key"].tolist()
    given, new, proposed = frame["given_label"], frame["new_label"], worst["predicted_label"].tolist()
    assert [cell.removeprefix("'") for cell in given] == worst["given_label"].tolist()
    assert new[0] == given[0]
    assert new[1].removeprefix("'") in set(EVIL) - {worst["given_label"].iloc[1], proposed[1]}
    assert new[2] == ""
    np.testing.assert_allclose(frame["label_score"].astype(float), worst["label_score"], atol=1e-6)
    assert frame["note"].tolist() == ["'="] * 3
    decisions = gwa.read_decisions(downloads / "decisions.csv", hostile_run)
    assert decisions.actions == tuple(np.array(["keep", "relabel", "drop"])[np.argsort(worst.index)])
    names = [hostile_run.class_names[i] if i >= 0 else "" for i in decisions.labels]
    assert [names[i] for i in np.argsort(np.argsort(worst.index))] == [cell.removeprefix("'") for cell in new]


def test_formulas_are_neutralised(browser: Browser, hostile_report: Path, downloads: Path) -> None:
    """All proposals accepted, so that every hostile name and key is in the file; plain numbers are left alone."""
    opened(browser, hostile_report)
    accept_all(browser)
    browser.evaluate("document.querySelector('.download').click()")
    frame = downloaded(downloads)
    assert set(frame["decision"]) == {"relabel"}
    assert "'=cmd|' /C calc'!A0" in set(frame["given_label"]) & set(frame["new_label"])
    assert "-1" in set(frame["new_label"])
    assert EVIL[0] in set(frame["new_label"])
    cells = frame.to_numpy().ravel()
    assert not [c for c in cells if c[:1] in tuple("=+@\t\r") or (c[:1] == "-" and not c[1:].isdecimal())]


def test_decisions_survive_a_reload_and_can_be_cleared(browser: Browser, plain_report: Path) -> None:
    opened(browser, plain_report)
    state = "document.querySelector('.status').textContent"
    browser.evaluate("document.querySelector('.card input[value=drop]').click()")
    choose(browser, "#suspects tbody tr:nth-child(2) select", "keep")
    assert "2 of 25 decided: 1 keep, 0 relabel, 1 drop" in browser.evaluate(state)
    stored(browser)
    browser.open(plain_report.as_uri())
    assert "2 of 25 decided: 1 keep, 0 relabel, 1 drop" in browser.evaluate(state)
    assert browser.evaluate("document.querySelector('.card input[value=drop]').checked")
    assert browser.evaluate("document.querySelectorAll('.card')[1].querySelector('input[value=keep]').checked")
    browser.evaluate("document.getElementById('clear-all').click()")
    assert "0 of 25" in browser.evaluate(state)
    browser.evaluate("document.getElementById('undo').click()")
    assert "2 of 25" in browser.evaluate(state)


def test_two_tabs_of_one_report_are_one_set_of_decisions(browser: Browser, plain_report: Path) -> None:
    opened(browser, plain_report)
    browser.evaluate("document.querySelectorAll('.card')[0].querySelector('input[value=drop]').click()")
    stored(browser)
    first = browser.tab
    browser.open(plain_report.as_uri(), beside=True)
    browser.evaluate("document.querySelectorAll('.card')[1].querySelector('input[value=keep]').click()")
    stored(browser)
    browser.tab = first
    browser.wait_for("document.querySelector('.status').textContent.startsWith('2 of 25 decided: 1 keep')")
    browser.evaluate("report.look(20), report.storeNow()")
    browser.open(plain_report.as_uri())
    assert "2 of 25 decided" in browser.evaluate("document.querySelector('.status').textContent")


def test_accepting_is_about_what_the_filter_shows(browser: Browser, plain_report: Path) -> None:
    opened(browser, plain_report)
    choose(browser, "#gallery-class", "2")
    inside = browser.evaluate("report.filtered().length")
    assert 0 < inside < 25
    browser.evaluate("document.getElementById('accept-all').click()")
    said = browser.evaluate("document.getElementById('accept-filter').textContent")
    assert said.startswith(f"This is about the {inside} suspects that the filter lets through; {25 - inside} others")
    browser.evaluate("document.getElementById('accept-every').click()")
    assert browser.evaluate("report.counts()")["all"] == inside
    both = "[report.suspects[i].given, report.suspects[i].proposed]"
    assert browser.evaluate(f"report.made().every(i => {both}.includes(2))")


def test_a_note_without_a_decision_is_said_to_be_left_behind(
    browser: Browser, plain_report: Path, downloads: Path
) -> None:
    opened(browser, plain_report)
    browser.evaluate("report.change([[0, { decision: 'keep' }]]), report.note(1, 'ask Ada')")
    browser.evaluate("document.querySelector('.download').click()")
    assert len(downloaded(downloads)) == 1
    said = browser.evaluate("document.getElementById('after-summary').textContent")
    assert "1 note is not in the file" in said


def test_undo_does_not_take_back_what_another_tab_decided(browser: Browser, plain_report: Path) -> None:
    opened(browser, plain_report)
    browser.evaluate("report.change([[0, { decision: 'keep' }]]), report.storeNow()")
    first = browser.tab
    browser.open(plain_report.as_uri(), beside=True)
    browser.evaluate("report.change([[0, { decision: 'drop' }]]), report.storeNow()")
    browser.tab = first
    browser.wait_for("report.state(0).decision === 'drop'")
    browser.evaluate("report.undo()")
    assert browser.evaluate("report.state(0).decision") == "drop"


def keys(browser: Browser, text: str) -> None:
    """Each letter pressed in the page."""
    for letter in text:
        browser.press(letter, ord(letter.upper()), letter)


STATES = "[...document.querySelectorAll('#cards .card')].map(card => card.dataset.decision)"


def test_the_gallery_by_its_keys(browser: Browser, plain_report: Path) -> None:
    """Keep, relabel, drop and go on; back, undo; a label by its first letters; the list of keys."""
    opened(browser, plain_report)
    keys(browser, "nkrd")
    assert browser.evaluate(STATES)[:4] == ["keep", "relabel", "drop", ""]
    current = "document.querySelector('.card.current').dataset.index"
    assert browser.evaluate(current) == "3"
    keys(browser, "pp")
    assert browser.evaluate(current) == "1"
    keys(browser, "u")
    assert browser.evaluate(STATES)[:4] == ["keep", "relabel", "", ""]
    assert browser.evaluate(current) == "2", "undo goes to what it has changed"
    browser.press("ArrowLeft", 37)
    assert browser.evaluate(current) == "1"
    keys(browser, "l")
    assert browser.evaluate("document.activeElement.tagName") == "SELECT"
    names = browser.evaluate("[...document.activeElement.options].map(option => option.textContent)")
    wanted = names[-1]
    keys(browser, wanted[:3])
    browser.press("Enter", 13, "\r")
    assert browser.evaluate("report.facts.names[report.state(1).label]") == wanted
    assert browser.evaluate(STATES)[1] == "relabel"
    assert browser.evaluate(current) == "2"
    browser.press("?", 191, "?")
    assert browser.evaluate("document.getElementById('help').open")
    keys(browser, "d")
    assert browser.evaluate(STATES)[2] == "", "keys rest while a dialog is open"
    browser.evaluate("document.querySelector('#help .close').click()")
    browser.evaluate("document.querySelector('#cards .card .comment').focus()")
    keys(browser, "drk")
    assert browser.evaluate("report.state(0).note") == "drk"
    assert browser.evaluate(STATES)[0] == "keep", "a note is typed, not obeyed"
    assert browser.console == []


def test_a_label_typed_is_one_step_and_escape_takes_it_back(browser: Browser, plain_report: Path) -> None:
    """Each letter may choose another class on its way to the one that is meant."""
    opened(browser, plain_report)
    keys(browser, "nk")
    before = browser.evaluate("report.steps()")
    state = "[report.state(1).decision, report.facts.names[report.state(1).label]]"
    proposed = browser.evaluate(state)[1]
    keys(browser, "l")
    others = browser.evaluate("[...document.activeElement.options].map(option => option.textContent)")[1:]
    keys(browser, others[0][:1])
    keys(browser, others[-1][:3])
    browser.press("Escape", 27)
    assert browser.evaluate(state) == ["", proposed]
    assert browser.evaluate("report.steps()") == before
    keys(browser, "l")
    keys(browser, others[-1][:3])
    browser.press("Enter", 13, "\r")
    assert browser.evaluate(state) == ["relabel", others[-1]]
    assert browser.evaluate("report.steps()") == before + 1
    keys(browser, "u")
    assert browser.evaluate(state) == ["", proposed]
    keys(browser, "l")
    browser.press("Enter", 13, "\r")
    assert browser.evaluate(state) == ["relabel", proposed], "Enter alone takes the label that is shown"
    assert browser.console == []


def test_accepting_all_says_how_many_nobody_has_seen(browser: Browser, plain_report: Path) -> None:
    opened(browser, plain_report)
    browser.wait_for("report.seen.size > 0")
    browser.evaluate("document.querySelector('.card input[value=keep]').click()")
    browser.evaluate("document.getElementById('accept-all').click()")
    question = browser.evaluate("document.getElementById('accept-question').textContent")
    seen = browser.evaluate("[...report.seen].filter(index => index > 0).length")
    assert question == f"24 suspects are undecided. {24 - seen} of them nobody has looked at in this browser."
    browser.evaluate("document.querySelector('#accept .close').click()")
    assert "1 of 25 decided" in browser.evaluate("document.querySelector('.status').textContent")
    browser.evaluate("document.getElementById('accept-all').click()")
    browser.evaluate("document.getElementById('accept-seen').click()")
    assert browser.evaluate("report.counts()") == {"keep": 1, "relabel": seen, "drop": 0, "all": 1 + seen}
    accept_all(browser)
    assert browser.evaluate("report.counts()") == {"keep": 1, "relabel": 24, "drop": 0, "all": 25}
    keys(browser, "u")
    assert browser.evaluate("report.counts()")["all"] == 1 + seen


def loaded(browser: Browser, text: str, name: str = "decisions.csv") -> str:
    """Give a file to the page as its chooser would; what the page says then."""
    browser.evaluate(
        f"""(async () => {{
            const transfer = new DataTransfer();
            transfer.items.add(new File([{json.dumps(text)}], {json.dumps(name)}));
            const input = document.getElementById('load-file');
            input.files = transfer.files;
            document.querySelector('.status').textContent = '';
            input.dispatchEvent(new Event('change'));
        }})()"""
    )
    browser.wait_for("document.querySelector('.status').textContent.includes('loaded')")
    return browser.evaluate("document.querySelector('.status').textContent")


def test_decisions_are_loaded_back(
    browser: Browser, hostile_report: Path, hostile_run: Run, downloads: Path, tmp_path: Path
) -> None:
    """A colleague goes on: every decision, label and note comes back, from the page's file and from a spreadsheet's."""
    opened(browser, hostile_report)
    choices = ("keep", "relabel", "drop")
    for index in range(30):
        label = f"(report.suspects[{index}].given + 3) % report.facts.classes.length"
        to = f"{{ decision: '{choices[index % 3]}', label: {label}, note: '=a \"quoted\", note' }}"
        browser.evaluate(f"report.change([[{index}, {to}]])")
    browser.evaluate("document.querySelector('.download').click()")
    downloaded(downloads)
    text = (downloads / "decisions.csv").read_text(encoding="utf-8")
    made = browser.evaluate("report.csv()")
    assert text == made
    frame = pd.read_csv(downloads / "decisions.csv", dtype=str, keep_default_na=False)
    for form in (text, "\ufeff" + frame.to_csv(sep=";", index=False, lineterminator="\r\n")):
        opened(browser, hostile_report)
        assert "30 decisions loaded from decisions.csv. 30 of" in loaded(browser, form)
        assert browser.evaluate("report.csv()") == text
        assert "30 decisions loaded" in loaded(browser, form), "the same again replaces nothing"
        assert "in place of" not in browser.evaluate("document.querySelector('.status').textContent")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f.assign(run_id="another"), "was not loaded: its decisions are about another run"),
        (lambda f: f.drop(columns="decision"), "was not loaded: it has no column decision"),
        (lambda f: f.assign(sample_id="999999"), "0 decisions loaded from decisions.csv; 1 left out: sample 999999"),
        (lambda f: f.assign(given_label="no such"), "0 decisions loaded from decisions.csv; 1 left out"),
        (lambda f: f.assign(decision="explode"), "no decision is called explode"),
        (lambda f: f.assign(new_label="wasp"), "keep, and yet another new label, wasp"),
        (lambda f: f.assign(decision="relabel", new_label="<b>none</b>"), "no class is called <b>none</b>"),
        (lambda f: f.assign(decision="Drop", run_id=""), "1 decisions loaded"),
    ],
)
def test_what_cannot_be_loaded_is_said(
    browser: Browser, plain_report: Path, change: Callable[[pd.DataFrame], pd.DataFrame], said: str
) -> None:
    opened(browser, plain_report)
    browser.evaluate("report.change([[0, { decision: 'keep' }]])")
    frame = pd.read_csv(io.StringIO(browser.evaluate("report.csv()")), dtype=str, keep_default_na=False)
    browser.evaluate("report.clear()")
    assert said in loaded(browser, change(frame).to_csv(index=False))
    assert browser.console == []


def test_after_the_download_the_next_calls_have_the_real_paths(
    browser: Browser, plain_run: Run, plain_report: Path, downloads: Path
) -> None:
    opened(browser, plain_report)
    browser.evaluate("document.querySelector('.card input[value=drop]').click()")
    browser.evaluate("document.querySelector('.download').click()")
    downloaded(downloads)
    assert browser.evaluate("document.getElementById('after').open")
    command = browser.evaluate("document.getElementById('after-command').textContent")
    assert f'cleaned = gwa.apply("{plain_run.path}", "decisions.csv")' in command
    scope = {"gwa": gwa, "train_set": [(0, label) for label in plain_run.labels.tolist()]}
    exec(command.replace('"decisions.csv"', repr(str(downloads / "decisions.csv"))), scope)
    assert len(scope["train_set"]) == 299


def test_works_without_storage(browser: Browser, plain_report: Path) -> None:
    """Where storage throws, decisions still work."""
    opened(browser, plain_report)
    browser.call(
        "Page.addScriptToEvaluateOnNewDocument",
        source="Object.defineProperty(window, 'localStorage', { get() { throw new Error('forbidden') } })",
    )
    browser.call("Page.reload")
    browser.wait_for("document.readyState === 'complete' && document.querySelector('.status').textContent !== ''")
    browser.evaluate("document.querySelector('.card input[value=keep]').click()")
    assert "1 of 25 decided" in browser.evaluate("document.querySelector('.status').textContent")
    assert browser.console == []


def test_damaged_storage_is_ignored(browser: Browser, plain_run: Run, plain_report: Path) -> None:
    opened(browser, plain_report)
    key = f"gwa_attrib decisions {plain_run.info['run_id']}"
    entries = '[[999999, "keep", 0, ""], [0, "explode", 0, ""], [0, "relabel", "length", ""]]'
    for stored in (entries, "{", "null", "7"):
        browser.evaluate(f"localStorage.setItem('{key}', '{stored}')")
        browser.open(plain_report.as_uri())
        assert "0 of 25 decided" in browser.evaluate("document.querySelector('.status').textContent")
        assert browser.console == []


def test_gallery_sorts_and_filters(browser: Browser, plain_report: Path) -> None:
    opened(browser, plain_report)
    cards = "[...document.querySelectorAll('.card:not([hidden])')]"
    ids = f"{cards}.map(card => Number(card.querySelector('input').name.slice(9)))"
    worst_first = browser.evaluate(ids)
    choose(browser, "#gallery-sort", "id")
    assert browser.evaluate(ids) == sorted(worst_first) != worst_first
    choose(browser, "#gallery-class", "2")
    shown = browser.evaluate(f"{cards}.map(card => card.querySelector('.labels').textContent)")
    assert 0 < len(shown) < 25
    assert all("heron" in text for text in shown)
    assert (
        browser.evaluate("document.getElementById('gallery-shown').textContent")
        == f"{len(shown)} of {len(shown)} shown"
    )


def test_table_sorts_and_finds(browser: Browser, plain_report: Path) -> None:
    opened(browser, plain_report)
    column = "[...document.querySelectorAll('#suspects tbody tr:not([hidden])')].map(r => r.cells[{}].textContent)"
    scores = [float(text) for text in browser.evaluate(column.format(4))]
    assert scores == sorted(scores)
    browser.evaluate("document.querySelectorAll('#suspects thead button')[0].click()")
    ids = [int(text) for text in browser.evaluate(column.format(0))]
    assert ids == sorted(ids)
    browser.evaluate("document.querySelectorAll('#suspects thead button')[0].click()")
    assert [int(text) for text in browser.evaluate(column.format(0))] == ids[::-1]
    assert (
        browser.evaluate("document.querySelectorAll('#suspects thead th')[0].getAttribute('aria-sort')") == "descending"
    )
    choose(browser, "#table-search", "HERON", event="input")
    given, proposed = browser.evaluate(column.format(2)), browser.evaluate(column.format(3))
    assert 0 < len(given) < 25
    assert all("heron" in pair for pair in zip(given, proposed, strict=True))


def test_every_control_and_picture_has_a_name(browser: Browser, plain_report: Path) -> None:
    """By the accessibility tree, which is what a screen reader is given."""
    opened(browser, plain_report)
    roles = {"button", "radio", "combobox", "textbox", "searchbox", "link", "image", "img", "region", "navigation"}
    nodes = [n for n in browser.call("Accessibility.getFullAXTree")["nodes"] if n.get("role", {}).get("value") in roles]
    nameless = [n for n in nodes if not n.get("ignored") and not n.get("name", {}).get("value", "").strip()]
    assert nameless == []
    assert sum(n["role"]["value"] == "radio" for n in nodes) == 75


def test_focus_is_visible(browser: Browser, plain_report: Path) -> None:
    opened(browser, plain_report)
    browser.press("Tab", 9)
    assert browser.evaluate("document.activeElement.textContent") == "Skip to the content"
    assert browser.evaluate("document.activeElement.getBoundingClientRect().top >= 0")
    browser.press("Tab", 9)
    assert browser.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_nothing_is_wider_than_the_window(browser: Browser, hostile_report: Path) -> None:
    opened(browser, hostile_report)
    for width in (1200, 800, 380):
        browser.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        assert browser.evaluate("document.documentElement.scrollWidth") <= width
    browser.call("Emulation.clearDeviceMetricsOverride")
