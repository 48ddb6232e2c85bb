"""Results for other tools: export."""

from pathlib import Path
from typing import Annotated

import typer

import gwa_attrib as gwa
from gwa_attrib.cli.options import AsJson, RunFolder, at_home, print_json, say, tell


def export(
    run: RunFolder,
    to: Annotated[str, typer.Option(help="csv, parquet, label-studio, datalab, huggingface or fiftyone.")],
    out: Annotated[
        Path | None, typer.Option(help="File or folder to write; below RUN/exports by default.", callback=at_home)
    ] = None,
    k: Annotated[
        int | None, typer.Option("-k", min=1, help="Only the so many most suspicious samples, worst first.")
    ] = None,
    url_prefix: Annotated[
        str | None, typer.Option(help="For label-studio: where images are served from, such as http://host/photos/.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the ranking of a run as another tool reads it."""
    written = gwa.export(run, to, out, k=k, url_prefix=url_prefix)
    for note in written.notes:
        tell(note)
    if as_json:
        also = [str(path) for path in written.also]
        print_json({"to": written.to, "path": str(written.path), "also": also, "samples": written.samples})
        return
    say(f"{written.samples} samples for {written.to}")
    for path in (written.path, *written.also):
        say(path)
