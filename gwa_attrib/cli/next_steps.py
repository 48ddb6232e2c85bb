"""Next steps after a cleaned copy: does it help, and what is left to find in it?"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gwa_attrib.cli.options import call, tell

if TYPE_CHECKING:
    from gwa_attrib.store import Run


def say_next(run: "Run", name: str, copy: Path, decided: Sequence[object]) -> None:
    """The two calls that follow `apply`, on stderr, as they can be pasted into a shell.

    Args:
        run: Whose data were copied.
        name: How the caller named it.
        copy: What was written.
        decided: The options of `verify` for the same decisions.
    """
    from gwa_attrib.datasets.loading import choose_reader
    from gwa_attrib.store.kept import is_finished
    from gwa_attrib.store.run_json import AuditNotes

    notes = AuditNotes.read(run.info)
    was = notes.data or ""  # there: the data were read again for the copy
    reader = choose_reader(was)[0].name
    source = f"{reader}:{copy}" if was.startswith(f"{reader}:") else copy
    column = [] if notes.label_column is None else ["--label-column", notes.label_column]
    budget = [] if notes.budget in (None, "normal") else ["--budget", notes.budget]
    truth = [] if notes.truth is None else ["--truth", notes.truth]
    if is_finished(run.path, run.info):
        tell(f"Whether it helps: {call('verify', name, *decided)}")
    tell(
        f"Audit the cleaned copy again: {call('audit', source, '--out', _free(Path(name)), *column, *truth, *budget)}",
    )


def _free(run: Path) -> Path:
    """A folder for the next run, beside the one that there is."""
    number, found = 1, run.with_name(f"{run.name}-cleaned")
    while found.exists():
        number += 1
        found = run.with_name(f"{run.name}-cleaned-{number}")
    return found
