"""From a run to the file: read, render, write."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gwa_attrib.files.place import local
from gwa_attrib.files.whole import write_text
from gwa_attrib.report.context import read_context
from gwa_attrib.report.page import render
from gwa_attrib.report.sections import SECTIONS
from gwa_attrib.scores import Scores
from gwa_attrib.store import Run


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
    write_text(target, page)
    return target
