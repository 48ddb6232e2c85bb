"""The command line: parse, call, print. Results go to stdout, everything else to stderr.

Exit status: 0 done, 2 wrong usage or wrong input, 1 the job failed, 130 interrupted.
"""

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

import gwa_attrib as gwa
from gwa_attrib.errors import GWAError, InputError, RunError

app = typer.Typer(
    help="Find mislabelled training samples from one training run.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Budget(StrEnum):
    """How much time an audit may take."""

    fast = "fast"
    normal = "normal"
    thorough = "thorough"


class FlipKind(StrEnum):
    """Which other class a corrupted label becomes."""

    symmetric = "symmetric"
    pairs = "pairs"


BY_LAYER = ("alignment", "fraction_negative", "grand")
"""Analyses of what is recorded of layers."""

RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a recorded run.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command()
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
        _print_json(result.to_dict())
        return
    errors = result.estimated_errors
    print(
        f"{result.samples} samples in {result.classes} classes, {result.epochs} epochs, {result.seconds:.0f} s: "
        f"{result.suspects} suspects; estimated wrong labels {errors['count']} "
        f"(between {errors['low']} and {errors['high']})."
    )
    if result.truth is not None:
        print("Against the verified labels: " + "  ".join(f"{k}={v:.4g}" for k, v in result.truth.items()))
    print(result.report)


@app.command()
def rank(
    run: RunFolder,
    by: Annotated[str, typer.Option(help="An analysis: mislabeled, alignment, aum, el2n, loss...")] = "mislabeled",
    layer: Annotated[
        str | None, typer.Option(help="For alignment, fraction_negative, grand: a recorded layer, or all of them: all.")
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="How many to show.")] = 20,
    out: Annotated[Path | None, typer.Option(help="Write all samples to this .csv or .parquet.")] = None,
    as_json: AsJson = False,
) -> None:
    """Rank the samples of a run, most suspicious first."""
    if layer is not None and by not in BY_LAYER:
        raise InputError(
            expected=f"--layer with --by {', '.join(BY_LAYER)}", found=f"--by {by}", todo="Leave --layer out."
        )
    scores = gwa.rank(gwa.open_run(run), by, **({"layer": layer} if layer is not None else {}))
    if out is not None:
        from gwa_attrib.export import write_frame

        write_frame(scores.to_frame(), out)
    worst = scores.to_frame().loc[scores.top(k)].reset_index()
    if as_json:
        rows = json.loads(worst.to_json(orient="records"))
        _print_json({"method": scores.method, "suspect": scores.suspect, "samples": rows})
    else:
        print(f"{scores.method}: {scores.suspect} is suspicious")
        print(worst.to_string(index=False))


@app.command()
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
    _print_json({"report": str(path)}) if as_json else print(path)


@app.command()
def inspect(run: RunFolder, as_json: AsJson = False) -> None:
    """Say what is in a run, what is missing, and what it costs on disk."""
    facts = gwa.inspect(gwa.open_run(run))
    if as_json:
        _print_json(facts)
        return
    sizes = facts.pop("bytes_of_column")
    for name, value in facts.items():
        print(f"{name.replace('_', ' '):22} {value}")
    for name, size in sizes.items():
        print(f"  {name:20} {size:>14,} bytes")


@app.command()
def stop(
    run: RunFolder,
    rule: Annotated[str, typer.Option(help="A stopping rule, or all of them: all.")] = "all",
    mode: Annotated[str, typer.Option(help="scratch, or finetune for a pretrained model.")] = "scratch",
    patience: Annotated[int | None, typer.Option(min=1, help="Epochs without a better one before stopping.")] = None,
    metric: Annotated[str, typer.Option(help="For the rule validation: a recorded metric.")] = "val_accuracy",
    as_json: AsJson = False,
) -> None:
    """Say which epoch each stopping rule would have chosen."""
    from gwa_attrib.proxies import choices

    table = choices(gwa.open_run(run), rule, mode=mode, patience=patience, metric=metric)
    if as_json:
        _print_json({"rules": json.loads(table.to_json(orient="records"))})
    else:
        print(table.to_string(index=False))


@app.command()
def compare(
    run: RunFolder,
    truth: Annotated[str, typer.Option(help="Column of the run with verified labels; label_before_flip after --flip.")],
    methods: Annotated[
        list[str] | None,
        typer.Option(help="Repeat for each: aum, ekfac:linear... or own (if left out), baselines (other libraries)."),
    ] = None,
    patience: Annotated[
        float | None, typer.Option(min=0.0, help="Give a method up after so many seconds, and say so.")
    ] = None,
    removal: Annotated[
        list[float] | None,
        typer.Option(min=0.0, max=1.0, help="Repeat: share of first suspects to remove before training again."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings for each share of each method removed by.")] = 3,
    workers: Annotated[int, typer.Option(min=1, help="Processes for these trainings.")] = 1,
    out: Annotated[Path | None, typer.Option(help="Folder for the report; RUN/compare by default.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare methods on how well they find wrong labels that are known, and on what they cost."""
    opened = gwa.open_run(run)
    compared = gwa.compare(
        opened, truth, methods, patience=patience, removal=removal or (), seeds=seeds, workers=workers
    )
    page = compared.write(out or run / "compare")
    if as_json:
        rows = json.loads(compared.table.reset_index().to_json(orient="records"))
        _print_json({**compared.facts, "methods": rows, "skipped": dict(compared.skipped), "report": str(page)})
        return
    shown = ["auroc", "average_precision", "recall_at_10_percent", "seconds", "megabytes", "trainings"]
    if len(compared.table):
        print(compared.table[shown].round(3).to_string())
    for name, reason in compared.skipped.items():
        print(f"not run: {name}: {reason}")
    print(page)


@app.command()
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
    from gwa_attrib.models import model_and_inputs

    model, inputs = model_and_inputs(factory)
    diagnosis = gwa.doctor(model, inputs, layers=layers or "all", engine=engine)
    if as_json:
        rows = json.loads(diagnosis.to_frame().to_json(orient="records"))
        _print_json({"healthy": diagnosis.healthy, "tolerance": diagnosis.tolerance, "blocks": rows})
    else:
        width = max(len(finding.block) for finding in diagnosis.findings)
        for finding in diagnosis.findings:
            state = "refused" if finding.problem else "ok     "
            print(f"{finding.block:{width}}  {state}  {finding.deviation:8.1e}  {finding.how}")
        for finding in diagnosis.findings:
            if finding.problem:
                print(f"\n{finding.block}: {finding.problem}")
    if not diagnosis.healthy:
        raise typer.Exit(1)


def _print_json(value: dict[str, Any]) -> None:
    print(json.dumps(value, ensure_ascii=False, allow_nan=False))


def main() -> None:
    """Entry point of ``gwa-attrib``: errors become one line on stderr and an exit status."""
    try:
        app()
    except (InputError, RunError) as error:
        print(f"gwa-attrib: {error}", file=sys.stderr)
        sys.exit(2)
    except GWAError as error:
        print(f"gwa-attrib: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
