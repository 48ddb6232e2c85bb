"""The cleaning loop: apply, verify."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

import gwa_attrib as gwa
from gwa_attrib.cleaning.decisions import EVEN
from gwa_attrib.cli.options import AsJson, RunFolder, print_json, say
from gwa_attrib.errors import InputError


class Auto(StrEnum):
    """What happens to the samples with a low label_score."""

    drop = "drop"
    relabel = "relabel"


Below = Annotated[
    float | None, typer.Option(help=f"With --auto: decide where the label_score is below this; {EVEN} if not given.")
]


def apply(
    run: RunFolder,
    decisions: Annotated[
        Path | None,
        typer.Argument(metavar="[DECISIONS]", help="decisions.csv of the report, or a .json of Label Studio."),
    ] = None,
    auto: Annotated[Auto | None, typer.Option(help="Instead: drop or relabel what has a low label_score.")] = None,
    below: Below = None,
    out: Annotated[Path | None, typer.Option(help="New file or folder for the cleaned copy.")] = None,
    as_json: AsJson = False,
) -> None:
    """Drop and relabel samples as decided, in a copy of the data set; the source is only read."""
    if out is None:
        raise InputError(expected="a place for the cleaned copy", found="no --out", todo="Pass --out cleaned.")
    cleaned = gwa.apply(run, _one_of(run, decisions, auto, below), out)
    if as_json:
        print_json({**cleaned.counts, "path": str(cleaned.path)})
        return
    counts = cleaned.counts
    say(f"{counts['dropped']} dropped, {counts['relabelled']} relabelled, {counts['left']} samples left.")
    say(cleaned.path)


def _one_of(run: str, decisions: Path | None, auto: Auto | None, below: float | None) -> gwa.Decisions | str:
    if (decisions is None) == (auto is None):
        raise InputError(
            expected="either a decisions.csv or --auto drop or --auto relabel",
            found="neither" if auto is None else "both",
            todo="Download decisions.csv from the report, or let the ranking decide.",
        )
    if auto is None:
        if below is not None:
            raise InputError(expected="--below with --auto", found="a decisions.csv", todo="Leave --below out.")
        return str(decisions)
    return gwa.decide(gwa.open_run(run), auto.value, below=EVEN if below is None else below)


def verify(
    run: RunFolder,
    decisions: Annotated[Path | None, typer.Option(help="decisions.csv, as the report saves it.")] = None,
    auto: Annotated[Auto | None, typer.Option(help="Instead: drop or relabel what has a low label_score.")] = None,
    below: Below = None,
    test: Annotated[str | None, typer.Option(help="A test set, as audit reads it.")] = None,
    truth: Annotated[
        str | None, typer.Option(help="Without one: column of the run with verified labels, of which a fifth is asked.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each of the three.")] = 5,
    workers: Annotated[int, typer.Option(min=1, help="Processes for these trainings.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Train with the decisions, without, and without as many random samples; say what that does to the accuracy."""
    found = gwa.verify(run, _one_of(run, decisions, auto, below), test=test, truth=truth, seeds=seeds, workers=workers)
    if as_json:
        print_json(found.to_dict())
        return
    facts = found.facts
    say(
        f"{facts['dropped']} dropped and {facts['relabelled']} relabelled of {facts['trained_on']} samples trained on; "
        f"{facts['asked']} asked ({ASKED[facts['by']]}: {facts['asked_of']}); {facts['seeds']} trainings each."
    )
    say("Accuracy: " + ", ".join(f"{arm} {100 * value:.2f} %" for arm, value in found.accuracy.items()) + ".")
    say("Changes in points, with their 95 % intervals:")
    say((100 * found.table).round(2).to_string())
    say((100 * found.classes.drop(columns="asked")).round(1).to_string())


ASKED = {"test": "test set", "verified": "held out, verified labels", "given": "held out, labels as given"}
