"""What the verbs share. Results go to stdout, everything else to stderr."""

import json
import re
from typing import Annotated, Any

import typer

from gwa_attrib.datasets.wording import printable

RunFolder = Annotated[str, typer.Argument(metavar="RUN", help="Folder of a recorded run, or its address.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

_FAR = re.compile("[^\x20-\x7e]")


def say(text: object) -> None:
    """Print, with everything escaped that a terminal would obey: names and texts of a data set may hold it."""
    print("\n".join(printable(line) for line in str(text).split("\n")))


def print_json(value: dict[str, Any]) -> None:
    """One line that any program can read, and that does nothing to a terminal."""
    print(_FAR.sub(_escaped, json.dumps(value, ensure_ascii=False, allow_nan=False)))


def _escaped(match: re.Match[str]) -> str:
    character = match.group()
    return character if character.isprintable() else json.dumps(character)[1:-1]
