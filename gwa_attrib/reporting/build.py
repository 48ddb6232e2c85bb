"""From a run to the file: read, render, write."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from gwa_attrib.analyses import rank
from gwa_attrib.errors import InputError
from gwa_attrib.files.places import local
from gwa_attrib.files.whole import write_text
from gwa_attrib.reporting.context import read_context
from gwa_attrib.reporting.page import render
from gwa_attrib.reporting.sections import BACKGROUND, SECTIONS
from gwa_attrib.reporting.source_data import data_for, left_out, refuse_poorer, tokenizer_for, truth_of
from gwa_attrib.scores import Scores
from gwa_attrib.store import Run, open_run
from gwa_attrib.store.tables import no_epoch


def build_page(
    run: Run | str | Path,
    path: str | Path | None,
    *,
    data: object,
    scores: Scores | None,
    truth: Mapping[str, float] | None,
    notes: Sequence[str],
    tokenizer: object = None,
) -> Path:
    """See `gwa_attrib.reporting.report`."""
    run = run if isinstance(run, Run) else open_run(run)
    if isinstance(data, str | Path):
        raise InputError(
            expected="the data themselves: a data set whose item i is sample i, or what gwa_attrib.datasets.load gives",
            found=f"the text {str(data)!r}",
            todo="Pass gwa_attrib.datasets.load(...) of it; an audit's data are found without data=.",
        )
    target = local(run.path, "the report") / "report.html" if path is None else local(path, "the report")
    if not run.epoch_numbers:
        raise no_epoch(run.path)
    chosen = rank(run, "mislabeled") if scores is None else scores
    shown, about = data_for(run, data, chosen)
    decoding, unread = tokenizer_for(run, shown, tokenizer)
    known = truth_of(run, chosen) if truth is None else truth
    said = (*notes, *left_out(run), *about, *unread)
    context = read_context(run, shown, chosen, known, said, decoding)
    sections, background = (
        [section for section in (make(context) for make in makers) if section is not None]
        for makers in (SECTIONS, BACKGROUND)
    )
    page = render(context, sections, background, target)
    refuse_poorer(target, page, run, about)
    write_text(target, page)
    return target
