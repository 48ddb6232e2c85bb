"""Messages after Ctrl-C: what it leaves, and how to go on from there."""

import json
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import typer

from gwa_attrib.cli.failure import INTERRUPTED
from gwa_attrib.cli.options import call, tell


@contextmanager
def interrupted_with(lines: Callable[[], Sequence[str]]) -> Iterator[None]:
    """After Ctrl-C in the block these lines on stderr and the exit status for it, without a traceback."""
    from gwa_attrib.display.progress import interruptible

    try:
        with interruptible():
            yield
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one would cut the message off
        first, *others = lines()
        tell(f"gwa-attrib: interrupted; {first}", *others)
        raise typer.Exit(INTERRUPTED) from None


def run_id_in(folder: Path) -> object:
    """Read the id of the run in a folder; None if there is none."""
    try:  # without the store, whose import would be a moment that no message covers
        return json.loads((folder / "run.json").read_text(encoding="utf-8"))["run_id"]
    except Exception:  # whatever is wrong with it: it is not the run that is asked about
        return None


def left_of_audit(folder: Path, before: object) -> list[str]:
    """Describe what an audit that was cut off has left in its folder.

    Args:
        folder: Of the run.
        before: `run_id_in` of the folder before the audit began.
    """
    found = run_id_in(folder)
    if found is None:
        return ["nothing was kept. Begin again with the same call."]
    if found == before:
        return [f"nothing was kept, and the earlier run in {folder} is as it was. Begin again with the same call."]
    epochs = _whole_epochs(folder)
    again = "From the beginning: the same call with --overwrite"
    if not epochs:
        return [f"nothing was kept: no epoch was whole. {again}"]
    return [
        f"{epochs} {'epoch' if epochs == 1 else 'epochs'} can be read in {folder}.",
        f"The report of them: {call('report', folder)}",
        f"The ranking of them: {call('rank', folder)}",
        again,
    ]


def _whole_epochs(folder: Path) -> int:
    from gwa_attrib.store import open_run

    return len(open_run(folder).epoch_numbers)
