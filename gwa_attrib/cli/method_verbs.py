"""Methods side by side, and what can be recorded of a model: compare, doctor."""

import json
from pathlib import Path
from typing import Annotated

import typer

import gwa_attrib as gwa
from gwa_attrib.cli.interruption import interrupted_with
from gwa_attrib.cli.options import AsJson, RunFolder, at_home, print_json, say
from gwa_attrib.errors import InputError
from gwa_attrib.files.places import local


def compare(
    run: RunFolder,
    truth: Annotated[str, typer.Option(help="Column of the run with verified labels; label_before_flip after --flip.")],
    methods: Annotated[
        list[str] | None,
        typer.Option(help="Repeat for each: aum, ekfac:linear... or own (if left out), baselines (other libraries)."),
    ] = None,
    time_limit: Annotated[
        float | None, typer.Option(min=0.0, help="Give a method up after so many seconds, and say so.")
    ] = None,
    patience: Annotated[float | None, typer.Option(min=0.0, hidden=True, help="Former name of --time-limit.")] = None,
    removal: Annotated[
        list[float] | None,
        typer.Option(min=0.0, max=1.0, help="Repeat: share of first suspects to remove before training again."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings for each share of each method removed by.")] = 3,
    workers: Annotated[int, typer.Option(min=1, help="Processes for these trainings.")] = 1,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the report; RUN/compare by default.", callback=at_home)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare methods on how well they find wrong labels that are known, and on what they cost."""
    from gwa_attrib.display.progress import silence

    if time_limit is not None and patience is not None:
        raise InputError(
            expected="one limit of time", found="--time-limit and --patience", todo="Leave --patience out."
        )
    limit = patience if time_limit is None else time_limit
    nothing = [
        "no comparison was written. The same call begins again; trainings of --removal that have ended are kept."
    ]
    with interrupted_with(lambda: nothing), silence(as_json):
        compared = gwa.compare(
            gwa.open_run(run), truth, methods, time_limit=limit, removal=removal or (), seeds=seeds, workers=workers
        )
        page = compared.write(out or local(run, "the report") / "compare")
    if as_json:
        rows = json.loads(compared.table.reset_index().to_json(orient="records"))
        print_json({**compared.facts, "methods": rows, "skipped": dict(compared.skipped), "report": str(page)})
        return
    shown = ["auroc", "average_precision", "recall_at_10_percent", "seconds", "megabytes", "trainings"]
    if len(compared.table):
        say(compared.table[shown].round(3).to_string())
    for name, reason in compared.skipped.items():
        say(f"not run: {name}: {reason}")
    say(page)


def doctor(
    factory: Annotated[
        str,
        typer.Argument(metavar="MODULE:FUNCTION", help="Returns (model, inputs): a model and one batch for it."),
    ],
    layers: Annotated[list[str] | None, typer.Option(help="Modules or parameters to check; all if left out.")] = None,
    engine: Annotated[str, typer.Option(help="auto, ghost or opacus.")] = "auto",
    as_json: AsJson = False,
) -> None:
    """Say which blocks of a model can be recorded with layers=..., how, and how exactly."""
    from gwa_attrib.auditing.models import model_and_inputs

    model, inputs = model_and_inputs(factory)
    diagnosis = gwa.doctor(model, inputs, layers=layers or "all", engine=engine)
    if as_json:
        rows = json.loads(diagnosis.to_frame().to_json(orient="records"))
        print_json({"healthy": diagnosis.healthy, "tolerance": diagnosis.tolerance, "blocks": rows})
    else:
        width = max(len(finding.block) for finding in diagnosis.findings)
        for finding in diagnosis.findings:
            state = "refused" if finding.problem else "ok     "
            say(f"{finding.block:{width}}  {state}  {finding.deviation:8.1e}  {finding.how}")
        for finding in diagnosis.findings:
            if finding.problem:
                say(f"\n{finding.block}: {finding.problem}")
    if not diagnosis.healthy:
        raise typer.Exit(1)
