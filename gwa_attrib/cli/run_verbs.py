"""Questions to a recorded run, and its results for other tools: rank, inspect, stop, export."""

import json
from pathlib import Path
from typing import Annotated

import typer

import gwa_attrib as gwa
from gwa_attrib.cli.options import AsJson, RunFolder, Table, at_home, print_json, say, tell
from gwa_attrib.errors import InputError

BY_LAYER = ("alignment", "fraction_negative", "grand")
"""Analyses of what is recorded of layers."""


def rank(
    run: RunFolder,
    by: Annotated[str, typer.Option(help="An analysis: mislabeled, alignment, aum, el2n, loss...")] = "mislabeled",
    layer: Annotated[
        str | None, typer.Option(help="For alignment, fraction_negative, grand: a recorded layer, or all of them: all.")
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="How many to show.")] = 20,
    out: Table = None,
    as_json: AsJson = False,
) -> None:
    """Rank the samples of a run, most suspicious first."""
    if layer is not None and by not in BY_LAYER:
        raise InputError(
            expected=f"--layer with --by {', '.join(BY_LAYER)}", found=f"--by {by}", todo="Leave --layer out."
        )
    scores = gwa.rank(gwa.open_run(run), by, **({"layer": layer} if layer is not None else {}))
    if out is not None:
        from gwa_attrib.files.frames import write_frame

        write_frame(scores.to_frame(), out)
    worst = scores.to_frame().loc[scores.top(k)].reset_index()
    if as_json:
        rows = json.loads(worst.to_json(orient="records"))
        print_json({"method": scores.method, "suspect": scores.suspect, "samples": rows})
    else:
        say(f"{scores.method}: {scores.suspect} is suspicious")
        say(worst.to_string(index=False))


def groups(
    run: RunFolder,
    by: Annotated[str, typer.Option(help="class, class pair, cluster, or a column of the run.")] = "class",
    out: Table = None,
    as_json: AsJson = False,
) -> None:
    """Say in which groups of samples more labels are wrong than elsewhere, the surest first."""
    table = gwa.groups(gwa.open_run(run), by)
    if out is not None:
        from gwa_attrib.files.frames import write_frame

        write_frame(table, out)
    if as_json:
        print_json({"by": by, "groups": json.loads(table.reset_index().to_json(orient="records"))})
    else:
        say(table.round(4).to_string())


def inspect(run: RunFolder, as_json: AsJson = False) -> None:
    """Say what is in a run, what is missing, and what it costs on disk."""
    facts = gwa.inspect(gwa.open_run(run))
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        if name != "bytes_of_column":
            say(f"{name.replace('_', ' '):22} {value}")
    for name, size in facts["bytes_of_column"].items():
        say(f"  {name:20} {size:>14,} bytes")


def compact(run: RunFolder, as_json: AsJson = False) -> None:
    """Join the files of consecutive epochs: fewer, larger files with the same numbers."""
    from gwa_attrib.store.compaction import compact as join_files

    gone = join_files(gwa.open_run(run))
    print_json({"run": str(run), "files_gone": gone}) if as_json else say(f"{gone} files fewer.")


def stop(
    run: RunFolder,
    rule: Annotated[str, typer.Option(help="A stopping rule, or all of them: all.")] = "all",
    mode: Annotated[str, typer.Option(help="scratch, or finetune for a pretrained model.")] = "scratch",
    patience: Annotated[int | None, typer.Option(min=1, help="Epochs without a better one before stopping.")] = None,
    metric: Annotated[str, typer.Option(help="For the rule validation: a recorded metric.")] = "val_accuracy",
    as_json: AsJson = False,
) -> None:
    """Say which epoch each stopping rule would have chosen."""
    from gwa_attrib.stopping import choices

    table = choices(gwa.open_run(run), rule, mode=mode, patience=patience, metric=metric)
    if as_json:
        print_json({"rules": json.loads(table.to_json(orient="records"))})
    else:
        say(table.to_string(index=False))


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
