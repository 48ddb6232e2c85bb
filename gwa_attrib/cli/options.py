"""Options and output that the verbs share. Results go to stdout, everything else to stderr."""

import json
import os
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from gwa_attrib.display.text import printable

T = TypeVar("T", str, Path, None)
_FAR = re.compile("[^\x20-\x7e]")
_HOME = re.compile(r"((?:[a-z0-9-]+:)?)(~.*)", re.DOTALL)


def at_home(value: T) -> T:
    """A path with ``~`` spelt out, as a shell does where it stands alone: also ``--out=~/run`` and ``csv:~/table``."""
    match = _HOME.fullmatch(str(value)) if value is not None else None
    return value if match is None else type(value)(match[1] + os.path.expanduser(match[2]))  # noqa: PTH111


RunFolder = Annotated[
    str, typer.Argument(metavar="RUN", help="Folder of a recorded run, or its address.", callback=at_home)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Table = Annotated[
    Path | None, typer.Option(help="Write all of them to this .csv or .parquet.", metavar="FILE", callback=at_home)
]


def say(text: object) -> None:
    """Print, with everything escaped that a terminal would obey: names and texts of a data set may hold it."""
    print("\n".join(printable(line) for line in str(text).split("\n")))


def tell(*lines: object) -> None:
    """Say on stderr what is no result; what looks like a further line inside of one is escaped."""
    print("\n".join(printable(str(line)) for line in lines), file=sys.stderr, flush=True)


def print_json(value: Mapping[str, object]) -> None:
    """One line that any program can read, and that does nothing to a terminal."""
    print(_FAR.sub(_escaped, json.dumps(value, ensure_ascii=False, allow_nan=False)))


def call(*words: object) -> str:
    """A command line, its words quoted for a shell.

    >>> call("audit", "my photos/", "--out", "runs/a")
    "gwa-attrib audit 'my photos/' --out runs/a"
    """
    return shlex.join(["gwa-attrib", *map(str, words)])


def _escaped(match: re.Match[str]) -> str:
    character = match.group()
    return character if character.isprintable() else json.dumps(character)[1:-1]
