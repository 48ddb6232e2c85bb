"""The command line: parse, call, print. A verb is a function in one of the files beside this one.

Exit status: 0 done, 2 wrong usage or wrong input, 1 the job failed, 130 interrupted.
"""

import sys

import typer

from gwa_attrib.cli.audit_verbs import audit, report
from gwa_attrib.cli.cleaning_verbs import apply, verify
from gwa_attrib.cli.export_verbs import export
from gwa_attrib.cli.method_verbs import compare, doctor
from gwa_attrib.cli.run_verbs import compact, groups, inspect, rank, stop
from gwa_attrib.datasets.wording import printable
from gwa_attrib.errors import GWAError, InputError, RunError

VERBS = (audit, rank, report, apply, verify, export, groups, inspect, compact, stop, compare, doctor)

app = typer.Typer(
    help="Find mislabelled training samples from one training run.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for verb in VERBS:
    app.command()(verb)


def main() -> None:
    """Entry point of ``gwa-attrib``: errors become one line on stderr and an exit status."""
    try:
        app()
    except (InputError, RunError) as error:
        print(f"gwa-attrib: {printable(str(error))}", file=sys.stderr)
        sys.exit(2)
    except GWAError as error:
        print(f"gwa-attrib: {printable(str(error))}", file=sys.stderr)
        sys.exit(1)
