"""What a terminal would obey never reaches it: names and texts of a data set may hold anything."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from gwa_attrib.cli import main
from gwa_attrib.cli.options import print_json, say
from gwa_attrib.store import open_run
from gwa_attrib.store.schema import PartName
from tests.store import written_runs as runs

EVIL = ["\x1b]0;owned\x07\x1b[2J", "\x9b31m", "a\rb", "x\u202ey", "two\nlines"]


@pytest.mark.parametrize("text", [*EVIL, "\ud800", "\U000e0001", "\x7f"])
def test_control_characters_are_escaped(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    say(f"{text} Grüße 中文 🙂")
    print_json({"name": text, "plain": "Grüße 中文 🙂"})
    plain, as_json = capsys.readouterr().out.rsplit("\n", 2)[:2]
    assert all(line.isprintable() for line in plain.split("\n"))
    assert as_json.isprintable()
    assert json.loads(as_json) == {"name": text, "plain": "Grüße 中文 🙂"}
    assert "Grüße 中文 🙂" in plain
    assert "Grüße 中文 🙂" in as_json


def test_verbs_print_nothing_that_a_terminal_obeys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    writer = runs.begin(tmp_path / "run", class_names=EVIL[:3])
    writer.write_samples(
        runs.samples(range(4), **{"source\x1b": np.array([*EVIL[:2], *EVIL[:2]])}).assign(key=EVIL[:4])
    )
    for epoch in range(2):
        rows = [runs.row(i, p_label=0.1, alignment=0.1) for i in range(4)]
        writer.write_observations(PartName(epoch), runs.table(PartName(epoch), rows))
        writer.write_epoch(PartName(epoch), runs.summary(PartName(epoch), metrics={"x\x1b[1m": 0.5}))
    assert open_run(tmp_path / "run").class_names == tuple(EVIL[:3])
    run = str(tmp_path / "run")
    verbs = [["rank", run], ["groups", run], ["groups", run, "--by", "source\x1b"], ["inspect", run], ["stop", run]]
    verbs += [["rank", run, "--json"], ["groups", run, "--by", "no\x1b"], ["export", run, "--to", "csv"]]
    statuses = []
    for verb in verbs:
        monkeypatch.setattr(sys, "argv", ["gwa-attrib", *verb])
        with pytest.raises(SystemExit) as ended:
            main()
        statuses.append(ended.value.code or 0)
        said = capsys.readouterr()
        assert said.out or said.err
        for line in (said.out + said.err).split("\n"):
            assert line.isprintable(), (verb, line)
    assert statuses == [0, 0, 0, 0, 0, 0, 2, 0]
