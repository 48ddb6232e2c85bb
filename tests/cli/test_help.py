"""Help and version: grouped, with examples that parse, and without anything heavy."""

import json
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gwa_attrib import __version__
from gwa_attrib.cli import VERBS, app

HEAVY = {
    "torch",
    "numpy",
    "pandas",
    "scipy",
    "sklearn",
    "pyarrow",
    "duckdb",
    "matplotlib",
    "jaxtyping",
    "tqdm",
    "opacus",
}
HEAVY |= {"jinja2", "PIL", "rich"}
NAMES = [verb.__name__ for verbs in VERBS.values() for verb in verbs]
EXAMPLES = [example for verbs in VERBS.values() for example in verbs.values()]


def in_a_new_process(*words: str) -> tuple[int, str, set[str]]:
    """Status, stdout, and which of the heavy packages were imported."""
    code = """
import json, sys
from gwa_attrib.cli import main
try:
    main()
except SystemExit as ended:
    status = ended.code or 0
print(json.dumps([status, sorted({name.partition(".")[0] for name in sys.modules})]), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    status, modules = json.loads(done.stderr.splitlines()[-1])
    return status, done.stdout, HEAVY & set(modules)


@pytest.mark.parametrize("words", ["--help", "--version", *(f"{name} --help" for name in NAMES), "fly", "audit"])
def test_nothing_heavy_is_imported_before_a_verb_runs(words: str) -> None:
    status, _, heavy = in_a_new_process(*words.split())
    assert heavy == set()
    assert status == (2 if words in ("fly", "audit") else 0)


def test_this_test_sees_what_is_imported() -> None:
    assert in_a_new_process("inspect", "/nowhere")[2] >= {"numpy", "pyarrow"}


def test_the_version_is_said() -> None:
    assert in_a_new_process("--version")[1] == f"gwa-attrib {__version__}\n"


def test_verbs_stand_in_groups_with_a_sentence_each() -> None:
    shown = in_a_new_process("--help")[1]
    places = [shown.index(f"\n{panel}:\n") for panel in VERBS]
    assert places == sorted(places)
    assert "..." not in shown.partition("COMMAND [ARGS]...")[2].replace("layers=...", "")
    for name in NAMES:
        assert f"\n  {name} " in shown


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_stands_in_the_help_of_its_verb_and_parses(example: str) -> None:
    from typer.main import get_command

    _, verb, *words = shlex.split(example)
    assert f"\nExample:\n  {example}" in in_a_new_process(verb, "--help")[1].replace("\n  ", "\n")  # indented once
    command = get_command(app).commands[verb]
    assert command.make_context(verb, words).params


def test_ctrl_c_while_modules_are_imported_is_quiet(tmp_path: Path) -> None:
    """The program of the script that pip writes, interrupted where the command line imports its first module."""
    code = (
        "import signal, sys\n"
        "class Press:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'typer': signal.raise_signal(signal.SIGINT)\n"
        "sys.meta_path.insert(0, Press())\n"
        "from gwa_attrib.__main__ import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code, "--version"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == -signal.SIGINT
    assert done.stderr == done.stdout == ""
