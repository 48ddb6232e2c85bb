"""What could not be read is said: on the terminal, in the result, in run.json, in the report; it is not copied."""

import csv
import html
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import gwa_attrib as gwa
from gwa_attrib.datasets.labeled import NAMED, Skipped, ordered, sentences
from tests.commands import call_command

GOOD = 12


def photos(root: Path, damaged: int) -> Path:
    """Two classes of 12 pictures, damaged ones, and what operating systems and people leave lying about."""
    draw = np.random.default_rng(0)
    for k, name in enumerate(("left", "top")):
        (root / name).mkdir(parents=True)
        for i in range(GOOD):
            pixels = draw.integers(0, 40, (16, 16, 3)).astype(np.uint8)
            pixels[(slice(None), slice(0, 8)) if k == 0 else slice(0, 8)] += 150
            Image.fromarray(pixels).save(root / name / f"{i:02d}.png")
    whole = (root / "top" / "00.png").read_bytes()
    for i in range(damaged):
        (root / "top" / f"cut{i:02d}.png").write_bytes(whole[: len(whole) // 2])
    (root / "__MACOSX").mkdir()
    (root / "left" / "Thumbs.db").write_bytes(b"-")
    (root / "left" / "desktop.ini").write_bytes(b"-")
    return root


@pytest.fixture(scope="module", params=[3, NAMED + 2])
def audited(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, Path, Path, str]:
    """How many files are damaged; the source; the run; what the command said on stderr."""
    folder = tmp_path_factory.mktemp("left_out")
    source = photos(folder / "photos\u202e", request.param)
    done = call_command("audit", source, "--out", folder / "run", "--budget", "fast", "--epochs", 2, "--json")
    assert done.returncode == 0, done.stderr
    (folder / "printed.json").write_text(done.stdout)
    return request.param, source, folder / "run", done.stderr


def test_the_command_names_each_damaged_file_and_counts_the_others(audited: tuple[int, Path, Path, str]) -> None:
    damaged, _, run, said = audited
    lines = [line for line in said.splitlines() if line.startswith("gwa-attrib: ")]
    named = [line for line in lines if "Could not be read and was left out: top/cut" in line]
    assert len(named) == min(damaged, NAMED)
    assert all("damaged (" in line for line in named)
    more = [line for line in lines if "the whole list is in" in line]
    assert len(more) == (damaged > NAMED)
    assert all(line.startswith("gwa-attrib: 2 more") and str(run / "run.json").isprintable() for line in more)
    (others,) = [line for line in lines if "passed over" in line]
    assert "3 other entries are no samples" in others
    assert "not an image (2)" in others
    assert "no images in this folder (1)" in others


def test_the_result_and_the_run_hold_the_whole_list(audited: tuple[int, Path, Path, str]) -> None:
    damaged, _, run, _ = audited
    skipped = json.loads((run.parent / "printed.json").read_text())["skipped"]
    assert [one["damaged"] for one in skipped] == [True] * damaged + [False] * 3
    assert {one["file"] for one in skipped if one["damaged"]} == {f"top/cut{i:02d}.png" for i in range(damaged)}
    assert {one["file"] for one in skipped if not one["damaged"]} == {
        "__MACOSX", "left/Thumbs.db", "left/desktop.ini"}  # fmt: skip
    config = json.loads((run / "run.json").read_text())["config"]
    assert config["skipped"] == [f"{one['file']}: {one['reason']}" for one in skipped]
    assert config["damaged"] == damaged


def test_the_report_says_it_and_says_it_again(audited: tuple[int, Path, Path, str]) -> None:
    damaged, _, run, _ = audited
    again = gwa.report(gwa.open_run(run), run.parent / "again.html")
    for page in (run / "report.html", again):
        text = html.unescape(page.read_text(encoding="utf-8"))
        assert text.count("Could not be read and was left out: top/cut") == min(damaged, NAMED)
        assert ("2 more could not be read" in text) == (damaged > NAMED)
        assert "3 other entries are no samples" in text


def test_damaged_pictures_are_not_copied(audited: tuple[int, Path, Path, str]) -> None:
    damaged, _, run, _ = audited
    decisions = run.parent / "d.csv"
    with decisions.open("w", newline="") as file:
        csv.writer(file).writerows([["sample_id", "given_label", "new_label", "decision"], [0, "left", "", "drop"]])
    out = run.parent / "clean"
    done = call_command("apply", run, decisions, "--out", out, "--json")
    counts = json.loads(done.stdout)
    files = [path for path in out.rglob("*") if path.is_file()]
    assert len(files) == counts["written"] == 2 * GOOD - 1 == counts["left"]
    assert counts["damaged"] == damaged
    for path in files:
        Image.open(path).load()
    again = call_command("apply", run, decisions, "--out", run.parent / "clean2")
    assert f"{damaged} damaged files were not copied" in again.stderr


def test_a_run_of_an_earlier_version_says_what_it_knows(tmp_path: Path) -> None:
    gwa.audit(photos(tmp_path / "photos", 1), tmp_path / "run", budget="fast", epochs=1)
    info = json.loads((tmp_path / "run" / "run.json").read_text())
    del info["config"]["damaged"]
    (tmp_path / "run" / "run.json").write_text(json.dumps(info))
    text = gwa.report(gwa.open_run(tmp_path / "run"), tmp_path / "page.html").read_text(encoding="utf-8")
    assert "4 files were left out; the first: top/cut00.png" in text


def test_nothing_left_out_says_nothing() -> None:
    assert sentences([], [], "the list") == []
    assert sentences([], ["a: b"], "the list") == ["1 other entry is no sample and was passed over: b (1)."]


def test_skipped_is_text_where_text_is_wanted() -> None:
    one, other = Skipped("a.txt", "not an image", False), Skipped("b.png", "gone", True)
    assert (str(one), f"{other}") == ("a.txt: not an image", "b.png: gone")
    assert ordered([one, other]) == (other, one)
