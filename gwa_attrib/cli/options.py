"""What the verbs share. Results go to stdout, everything else to stderr."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a recorded run.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def print_json(value: dict[str, Any]) -> None:
    """One line that any program can read."""
    print(json.dumps(value, ensure_ascii=False, allow_nan=False))
