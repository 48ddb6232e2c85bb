"""From a run to the file: read, render, write."""

import contextlib
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gwa_attrib.errors import RunError
from gwa_attrib.report.context import read_context
from gwa_attrib.report.page import render
from gwa_attrib.report.sections import SECTIONS
from gwa_attrib.scores import Scores
from gwa_attrib.store import Run
from gwa_attrib.store.place import local


def build(
    run: Run,
    path: str | Path | None,
    *,
    data: Any,
    scores: Scores | None,
    truth: Mapping[str, float] | None,
    notes: Sequence[str],
) -> Path:
    """See `gwa_attrib.report.report`."""
    target = local(run.path, "the report") / "report.html" if path is None else local(path, "the report")
    context = read_context(run, data, scores, truth, notes)
    page = render(context, [section(context) for section in SECTIONS])
    write_whole(target, page)
    return target


def write_whole(target: Path, text: str) -> None:
    """Write a file that appears whole or not at all.

    Raises:
        RunError: it cannot be written; what was there before is still there.
    """
    half = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        half.write_bytes(text.encode("utf-8"))
        half.replace(target)
    except OSError as error:
        with contextlib.suppress(OSError):
            half.unlink()
        raise RunError(
            expected=f"to be able to write {target}",
            found=f"{type(error).__name__}: {error}",
            todo="Free space, fix the permissions, or name another file.",
        ) from error
