"""From data to report: audit, and report again."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

import gwa_attrib as gwa
from gwa_attrib.cli.options import AsJson, RunFolder, print_json, say


class Budget(StrEnum):
    """How much time an audit may take."""

    fast = "fast"
    normal = "normal"
    thorough = "thorough"


class FlipKind(StrEnum):
    """Which other class a corrupted label becomes."""

    symmetric = "symmetric"
    pairs = "pairs"


def audit(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA", help="digits, fashion-mnist, an .npz, a folder of class folders, a .csv or a .parquet."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the run: new or empty.")],
    epochs: Annotated[int | None, typer.Option(min=1, help="Instead of the budget's number of epochs.")] = None,
    budget: Annotated[Budget, typer.Option(help="Size of the model and length of the training.")] = Budget.normal,
    model: Annotated[str, typer.Option(help="auto, or MODULE:FACTORY for factory(input_shape, num_classes).")] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same numbers.")] = 0,
    label_column: Annotated[str | None, typer.Option(help="Column or array with the labels.")] = None,
    truth: Annotated[
        str | None, typer.Option(help="Column or array with verified labels; scores the ranking, never enters it.")
    ] = None,
    flip: Annotated[float, typer.Option(min=0.0, max=0.99, help="Share of labels to corrupt, as a test.")] = 0.0,
    flip_kind: Annotated[FlipKind, typer.Option(help="Any other class, or the most alike.")] = FlipKind.symmetric,
    limit: Annotated[int | None, typer.Option(min=1, help="Use only the first so many samples.")] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse unreadable files instead of leaving them out.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train once with recording, rank the samples, write a report."""
    try:
        result = gwa.audit(
            data,
            out,
            epochs=epochs,
            budget=budget.value,
            model=model,
            seed=seed,
            label_column=label_column,
            truth=truth,
            flip=flip,
            flip_kind=flip_kind.value,
            limit=limit,
            strict=strict,
            overwrite=overwrite,
        )
    except KeyboardInterrupt:
        print(f"gwa-attrib: interrupted; the epochs finished so far can be read from {out}.", file=sys.stderr)
        raise typer.Exit(130) from None
    if as_json:
        print_json(result.to_dict())
        return
    errors = result.estimated_errors
    say(
        f"{result.samples} samples in {result.classes} classes, {result.epochs} epochs, {result.seconds:.0f} s: "
        f"{result.suspects} suspects; estimated wrong labels {errors['count']} "
        f"(between {errors['low']} and {errors['high']})."
    )
    if result.truth is not None:
        say("Against the verified labels: " + "  ".join(f"{k}={v:.4g}" for k, v in result.truth.items()))
    say(result.report)


def report(
    run: RunFolder,
    out: Annotated[Path | None, typer.Option(help="File to write; RUN/report.html by default.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write the report of a run again, with its data if it can still be read."""
    from gwa_attrib.audit import read_again

    opened = gwa.open_run(run)
    data, note = read_again(opened)
    path = gwa.report(opened, out, data=data, notes=[note] if note else [])
    print_json({"report": str(path)}) if as_json else say(path)
