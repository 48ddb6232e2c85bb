"""From data to report: audit, and report again."""

import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import gwa_attrib as gwa
from gwa_attrib.cli.interruption import interrupted_with, left_of_audit, run_id_in
from gwa_attrib.cli.options import AsJson, RunFolder, at_home, call, print_json, say, tell
from gwa_attrib.errors import InputError

if TYPE_CHECKING:
    from gwa_attrib.auditing.pipeline import AuditResult
    from gwa_attrib.plot.written import Figures


FEW = 50
"""Samples below which an audit says that it says nothing."""


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
            metavar="DATA",
            help="digits, fashion-mnist, an .npz, a folder of class folders, a .csv or a .parquet.",
            callback=at_home,
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the run: new or empty.", callback=at_home)],
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
    from gwa_attrib.display.progress import silence

    before = run_id_in(out)
    with interrupted_with(lambda: left_of_audit(out, before)), silence(as_json):
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
    _say_skipped(result)
    if result.roles:
        tell(f"gwa-attrib: read as {'; '.join(result.roles)}.")
    if as_json:
        print_json(result.to_dict())
        return
    say(
        f"{result.samples:,} samples in {result.classes:,} classes, {result.epochs} epochs, {result.seconds:.0f} s: "
        f"{result.suspects:,} {'suspect' if result.suspects == 1 else 'suspects'}."
    )
    for sentence in _verdict(result):
        say(sentence)
    if result.truth is not None:
        say("Against the verified labels: " + "  ".join(f"{k}={v:.4g}" for k, v in result.truth.items()))
    say(result.report)
    if result.samples < FEW:
        tell(f"With {result.samples} samples a training says next to nothing about a label; some hundreds are needed.")
    if sys.stderr.isatty() and result.suspects:
        tell(
            "Open the report in a browser, decide, and save decisions.csv; then: "
            + call("apply", result.run, "decisions.csv", "--out", f"{result.run}-cleaned")
        )


def _verdict(result: "AuditResult") -> Iterator[str]:
    """Lines about classes that were not learnt; then how many of the first suspects are expected to be wrong."""
    if result.not_learnt:
        names = ", ".join(f"{one['class']} ({one['suspects']:,} of {one['samples']:,})" for one in result.not_learnt)
        yield f"The training has NOT LEARNT {len(result.not_learnt)} of them, whose suspects say nothing: {names}."
        yield "Audit with a larger --budget, with more samples of these classes, or see the report for what else helps."
    parts = [f"{one['first']}: {one['wrong']} ({one['low']} to {one['high']})" for one in result.expected]
    if parts:
        yield f"Expected to be wrong{' elsewhere' if result.not_learnt else ''}: of the first {', '.join(parts)}."


def _say_skipped(result: "AuditResult") -> None:
    """On stderr, whatever is asked of stdout: a file that is left out in silence is lost."""
    from gwa_attrib.datasets.labeled import sentences

    damaged = [f"{one['file']}: {one['reason']}" for one in result.skipped if one["damaged"]]
    others = [f"{one['file']}: {one['reason']}" for one in result.skipped if not one["damaged"]]
    for sentence in sentences(damaged, others, f"{Path(result.run) / 'run.json'}, under config.skipped"):
        tell(f"gwa-attrib: {sentence}")


def report(
    run: RunFolder,
    out: Annotated[
        Path | None, typer.Option(help="File to write; RUN/report.html by default.", callback=at_home)
    ] = None,
    figures: Annotated[
        Path | None,
        typer.Option(help="Also write each picture as SVG and PNG here.", metavar="FOLDER", callback=at_home),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the report of a run again, with its data if it can still be read."""
    from gwa_attrib.display.progress import silence, stage

    with silence(as_json):
        # First: they need no data, and so are there also where the report is refused.
        drawn = None if figures is None else gwa.plot.write_figures(run, figures)
        try:
            with stage("writing the report"):
                path = gwa.report(gwa.open_run(run), out)
        except InputError:
            if drawn is not None:
                tell(f"The figures are in {figures}.")
            raise
    if as_json:
        print_json({"report": str(path), **({} if drawn is None else {"figures": drawn.to_dict()})})
        return
    say(path)
    if drawn is not None:
        _say_figures(drawn)


def _say_figures(drawn: "Figures") -> None:
    for written in drawn.written.values():
        say("\n".join(map(str, written)))
    notes = [f"no {name}: {reason}" for name, reason in drawn.missing.items() if name != "removal_curves"]
    notes += [f"{name}: a box stands in the PNG for what no font here has; the SVG has it" for name in drawn.boxes]
    if "removal_curves" in drawn.missing:
        notes.append("no removal_curves: those come with the report of gwa-attrib compare --removal")
    tell(*notes)
