"""Progress on a real terminal, silence elsewhere, and Ctrl-C at several moments."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import gwa_attrib as gwa
from gwa_attrib.errors import GWAError
from tests.terminals import OnTerminal


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "gwa_attrib.cli", *map(str, words)]


def audit(out: Path, *words: object) -> list[str]:
    return command("audit", "digits", "--out", out, "--budget", "fast", *words)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, str, str]:
    """An audit on a terminal: the folder, the exit status, stdout, what was drawn."""
    out = tmp_path_factory.mktemp("audit") / "run"
    return out, *OnTerminal(audit(out, "--limit", 300, "--epochs", 4, "--flip", 0.1)).end()


def test_an_audit_says_on_one_line_where_it_is(finished: tuple[Path, int, str, str]) -> None:
    out, status, stdout, drawn = finished
    assert status == 0
    assert stdout.splitlines()[-1] == str(out / "report.html")
    places = [
        drawn.index(text) for text in ("reading", "epoch 1 of 4", "epoch 4 of 4", "ranking", "writing the report")
    ]
    assert places == sorted(places)
    assert re.search(r"epoch 3 of 4: +\d+%.*\d\d:\d\d left", drawn)
    assert re.search(r"about [\d.]+ (second|minute)s? for 4 epochs", drawn)
    assert "\x1b[A" not in drawn  # tqdm goes up a line where there are two
    assert "\x1b[" not in drawn.split("epoch 4 of 4")[1]


def test_the_line_is_gone_at_the_end(finished: tuple[Path, int, str, str]) -> None:
    last = finished[-1].split("\n")[-1]
    assert last.split("\r")[-1].strip() == ""


def test_without_a_terminal_and_with_json_there_is_none_of_it(tmp_path: Path) -> None:
    piped = subprocess.run(audit(tmp_path / "a", "--limit", 200, "--epochs", 2), capture_output=True, text=True)
    assert (piped.returncode, piped.stderr) == (0, "")
    status, _, drawn = OnTerminal(audit(tmp_path / "b", "--limit", 200, "--epochs", 2, "--json")).end()
    assert (status, drawn) == (0, "")


@pytest.mark.parametrize("verb", ["verify", "compare"])
def test_verbs_that_train_again_have_one_line_too(
    finished: tuple[Path, int, str, str], verb: str, tmp_path: Path
) -> None:
    words = {
        "verify": ["--auto", "drop", "--below", 0.9, "--seeds", 1, "--truth", "label_before_flip"],
        "compare": ["--truth", "label_before_flip", "--methods", "aum", "--methods", "tracin", "--out", tmp_path / "c"],
    }[verb]
    status, _, drawn = OnTerminal(command(verb, finished[0], *words)).end()
    assert status == 0
    assert {"verify": "trainings", "compare": "methods"}[verb] in drawn
    assert "training again" not in drawn
    assert "\x1b[A" not in drawn


@pytest.mark.parametrize("moment", ["reading", "epoch 1 of", "epoch 3 of", "ranking", "writing the"])
def test_ctrl_c_at_any_moment_leaves_what_it_says(tmp_path: Path, moment: str) -> None:
    out = tmp_path / "a run"
    there = OnTerminal(audit(out, "--limit", 300, "--epochs", 5))
    there.wait_for(moment)
    there.interrupt()
    status, stdout, drawn = there.end()
    assert (status, stdout) == (130, "")
    assert "Traceback" not in drawn
    said = drawn[drawn.index("gwa-attrib: interrupted; ") :].replace("\r\n", "\n")
    kept = re.match(r"gwa-attrib: interrupted; (\d+) epochs? can be read in .*a run\.\n", said)
    if kept is None:
        assert moment in ("reading", "epoch 1 of")
        assert "nothing was kept" in said
        with pytest.raises(GWAError):
            gwa.rank(gwa.open_run(out))
        return
    run = gwa.open_run(out)
    assert int(kept[1]) == len(run.epoch_numbers)
    assert len(run.epoch_numbers) >= (5 if moment in ("looking for", "ranking", "writing the") else 1)
    assert "--overwrite" in said
    for verb in ("report", "rank"):
        call = next(line for line in said.splitlines() if f"gwa-attrib {verb}" in line)
        words = call[call.index("gwa-attrib") :].removeprefix("gwa-attrib")
        done = subprocess.run(f"{sys.executable} -m gwa_attrib.cli{words}", shell=True, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_ctrl_c_leaves_an_earlier_run_as_it_is(finished: tuple[Path, int, str, str]) -> None:
    run_id = gwa.open_run(finished[0]).run_id
    there = OnTerminal(audit(finished[0], "--overwrite"))
    there.wait_for("reading")
    there.interrupt()
    status, _, drawn = there.end()
    assert status == 130
    earlier = finished[0] / "run.json"
    if "the earlier run" in drawn:
        assert gwa.open_run(finished[0]).run_id == run_id
    else:  # it was replaced already
        assert "--overwrite" in drawn
        assert run_id not in earlier.read_text()
