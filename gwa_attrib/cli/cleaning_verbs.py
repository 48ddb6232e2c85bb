"""The cleaning loop: apply, verify."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import gwa_attrib as gwa
from gwa_attrib.cli.interruption import interrupted_with
from gwa_attrib.cli.next_steps import say_next
from gwa_attrib.cli.options import AsJson, RunFolder, at_home, print_json, say, tell
from gwa_attrib.errors import InputError, NotRecordedError
from gwa_attrib.thresholds import EVEN

if TYPE_CHECKING:
    from gwa_attrib.cleaning import Decisions
    from gwa_attrib.store import Run


class Auto(StrEnum):
    """Actions for the samples with a low label_score."""

    drop = "drop"
    relabel = "relabel"


Below = Annotated[
    float | None, typer.Option(help=f"With --auto: decide where the label_score is below this; {EVEN} if not given.")
]
ByRanking = Annotated[Auto | None, typer.Option("--auto", help="Instead: drop or relabel what has a low label_score.")]
DECISIONS = "decisions.csv of the report, or a .json of Label Studio."


def apply(
    run: RunFolder,
    decisions: Annotated[Path | None, typer.Argument(metavar="[DECISIONS]", help=DECISIONS, callback=at_home)] = None,
    auto: ByRanking = None,
    below: Below = None,
    out: Annotated[Path | None, typer.Option(help="New file or folder for the cleaned copy.", callback=at_home)] = None,
    as_json: AsJson = False,
) -> None:
    """Drop and relabel samples as decided, in a copy of the data set; the source is only read."""
    from gwa_attrib.display.progress import silence

    opened = gwa.open_run(run)
    _refuse_without_data(opened, run, "decisions.csv" if decisions is None and auto is None else decisions or auto)
    if out is None:
        raise InputError(expected="a place for the cleaned copy", found="no --out", todo="Pass --out cleaned.")
    nothing = ["nothing was written. The same call begins again."]
    with interrupted_with(lambda: nothing), silence(as_json):
        cleaned = gwa.apply(opened, _one_of(opened, decisions, auto, below), out)
    if as_json:
        print_json({**cleaned.counts, "path": str(cleaned.path)})
        return
    counts = cleaned.counts
    say(f"{counts['dropped']} dropped, {counts['relabelled']} relabelled, {counts['left']} samples left.")
    say(cleaned.path)
    if counts.get("damaged"):
        many = counts["damaged"] != 1
        tell(f"{counts['damaged']} damaged {'files were' if many else 'file was'} not copied.")
    if cleaned.path is not None:
        decided = ["--decisions", decisions] if auto is None else ["--auto", auto.value]
        say_next(opened, run, cleaned.path, [*decided, *(["--below", below] if below is not None else [])])


def _refuse_without_data(run: "Run", name: str, decided: object) -> None:
    """Refuse to copy data that no audit has read; Python has them."""
    from gwa_attrib.store.run_json import AuditNotes

    if not AuditNotes.read(run.info).made_by_audit:
        raise NotRecordedError(
            expected="a run of an audit, which knows the data set to copy",
            found=f"{name} was recorded in a training loop of its own, so its data are not known",
            todo=f"In Python: gwa_attrib.apply({name!r}, {str(decided)!r}).to_torch(dataset), or "
            ".to_huggingface(dataset), gives your data set with the decisions applied; its sample_ids and labels say "
            "what is left.",
        )


def _one_of(run: "Run", decisions: Path | None, auto: Auto | None, below: float | None) -> "Decisions | str":
    if (decisions is None) == (auto is None):
        raise InputError(
            expected="either a decisions.csv or --auto drop or --auto relabel",
            found="neither decisions nor --auto" if auto is None else "both decisions and --auto",
            todo="Download decisions.csv from the report, or let the ranking decide.",
        )
    if auto is None:
        if below is not None:
            raise InputError(
                expected="--below with --auto", found="--below with a decisions.csv", todo="Leave --below out."
            )
        return str(decisions)
    decided = gwa.decide(run, auto.value, below=EVEN if below is None else below)
    if decided.left_alone:
        classes = ", ".join(f"{name} ({count})" for name, count in decided.left_alone.items())
        tell(f"Left alone, as the training has not learnt these classes: the samples of {classes}.")
    return decided


def verify(
    run: RunFolder,
    at: Annotated[Path | None, typer.Argument(metavar="[DECISIONS]", help=DECISIONS, callback=at_home)] = None,
    decisions: Annotated[Path | None, typer.Option(help="The same, by name.", callback=at_home)] = None,
    auto: ByRanking = None,
    below: Below = None,
    test: Annotated[
        str | None,
        typer.Option(
            help="A test set, as audit reads it. If not given, a fifth of the samples is held out and asked.",
            callback=at_home,
        ),
    ] = None,
    truth: Annotated[
        str | None,
        typer.Option(help="Column of the run with verified labels of the samples held out; else their given ones."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each of the three; one gives no interval.")] = 5,
    workers: Annotated[int, typer.Option(min=1, help="Processes for these trainings.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Train with the decisions, without, and without as many random samples; say what that does to the accuracy."""
    from gwa_attrib.display.progress import silence
    from gwa_attrib.store.run_json import AuditNotes

    opened = gwa.open_run(run)
    if not AuditNotes.read(opened.info).made_by_audit:
        raise NotRecordedError(
            expected="a run of an audit, whose model and data can be trained again",
            found=f"{run} was recorded in a training loop of its own",
            todo="Train in that loop with gwa_attrib.apply(run, decisions).to_torch(dataset), and without.",
        )
    decisions = _only(at, decisions)
    kept = ["the trainings that have ended are kept. The same call goes on with the others."]
    with interrupted_with(lambda: kept), silence(as_json):
        chosen = _one_of(opened, decisions, auto, below)
        found = gwa.verify(opened, chosen, test=test, truth=truth, seeds=seeds, workers=workers)
    if as_json:
        print_json(found.to_dict())
        return
    facts = found.facts
    say(
        f"{facts['dropped']} dropped and {facts['relabelled']} relabelled of {facts['trained_on']} samples trained on; "
        f"{facts['asked']} asked ({ASKED[facts['by']]}: {facts['asked_of']}); "
        f"{facts['seeds']} {'training' if facts['seeds'] == 1 else 'trainings'} of each."
    )
    say("Accuracy: " + ", ".join(f"{arm} {100 * value:.2f} %" for arm, value in found.accuracy.items()) + ".")
    table, classes = 100 * found.table, 100 * found.classes.drop(columns="asked")
    if not found.has_intervals:
        table, classes = (frame.drop(columns=["low", "high"]) for frame in (table, classes))
    say("Changes in points, with their 95 % intervals:" if found.has_intervals else "Changes in points:")
    say(table.round(2).to_string())
    say(classes.round(1).to_string(na_rep="-"))
    if facts["also_trained_on"]:
        tell(
            f"{facts['also_trained_on']:,} of the {facts['asked']:,} test samples are trained on, too: "
            "where their labels are wrong, they judge in favour of the wrong."
        )
    if found.shows_nothing:
        tell("All trainings gave the same answers: so few samples show no change, which is not to say there is none.")
    if not found.has_intervals:
        tell("One training of each gives no interval: whether chance made the change is not known. Pass --seeds 5.")


def _only(positional: Path | None, named: Path | None) -> Path | None:
    if positional is not None and named is not None:
        raise InputError(expected="one file of decisions", found="two", todo="Leave --decisions out.")
    return named if positional is None else positional


ASKED = {"test": "test set", "verified": "held out, verified labels", "given": "held out, labels as given"}
