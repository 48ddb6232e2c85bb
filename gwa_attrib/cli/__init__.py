"""The command line: parse, call, print. A verb is a function in one of the files beside this one.

Exit status: 0 done, 2 wrong usage or wrong input, 1 the job failed, 130 interrupted. Nothing heavy is imported before a
verb runs: help and wrong usage cost what typer costs.
"""

import sys
import warnings
from collections.abc import Callable
from typing import Annotated

import typer

from gwa_attrib import __version__
from gwa_attrib.cli.audit_verbs import audit, report
from gwa_attrib.cli.cleaning_verbs import apply, verify
from gwa_attrib.cli.failure import INTERRUPTED, ClickException, described, status_of
from gwa_attrib.cli.help_text import Verbs
from gwa_attrib.cli.method_verbs import compare, doctor
from gwa_attrib.cli.options import tell
from gwa_attrib.cli.run_verbs import compact, export, groups, inspect, rank, stop
from gwa_attrib.display.text import printable
from gwa_attrib.errors import GWAError

VERBS: dict[str, dict[Callable[..., None], str]] = {
    "Find": {
        audit: "gwa-attrib audit photos/ --out runs/photos",
        rank: "gwa-attrib rank runs/photos -k 50 --out worst.csv",
        report: "gwa-attrib report runs/photos",
        export: "gwa-attrib export runs/photos --to label-studio --out tasks.json",
    },
    "Decide and clean": {
        apply: "gwa-attrib apply runs/photos decisions.csv --out photos-clean/",
        verify: "gwa-attrib verify runs/photos --decisions decisions.csv --test photos-test/",
    },
    "Look into a run": {
        inspect: "gwa-attrib inspect runs/photos",
        groups: "gwa-attrib groups runs/photos --by 'class pair'",
        stop: "gwa-attrib stop runs/photos --rule consensus",
        compact: "gwa-attrib compact runs/photos",
    },
    "Compare": {
        compare: "gwa-attrib compare runs/photos --truth label_before_flip --methods aum --methods ekfac:linear",
        doctor: "gwa-attrib doctor my_models:vision_transformer",
    },
}
"""Verbs with an example of a call, by the part of the help that they stand in."""


app = typer.Typer(
    cls=Verbs,
    rich_markup_mode=None,
    help="Find mislabelled training samples from one training run.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for panel, verbs in VERBS.items():
    for verb, example in verbs.items():
        app.command(rich_help_panel=panel, epilog=f"\b\nExample:\n  {example}")(verb)


def _say_version(wanted: bool) -> None:
    if wanted:
        print(f"gwa-attrib {__version__}")
        raise typer.Exit


@app.callback()
def _everywhere(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_say_version, help="Say which version this is.")
    ] = False,
) -> None:
    pass


def _as_a_line(message: Warning | str, *_: object, **__: object) -> str:
    """A warning for who has never seen the code that gave it."""
    return f"gwa-attrib: {printable(str(message))}\n"


def main() -> None:
    """Entry point of ``gwa-attrib``: errors become lines on stderr and an exit status."""
    warnings.formatwarning = _as_a_line
    try:
        status = app(standalone_mode=False)
    except (GWAError, ClickException) as error:
        first, *others = described(error)
        tell(f"gwa-attrib: {first}", *others)
        status = status_of(error)
    except KeyboardInterrupt:
        tell("gwa-attrib: interrupted.")
        status = INTERRUPTED
    sys.exit(status)
