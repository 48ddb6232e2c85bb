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
from gwa_attrib.reporting.source_data import data_for, left_out, tokenizer_for, truth_of
from gwa_attrib.scores import Scores
from gwa_attrib.store import Run, open_run
from gwa_attrib.store.tables import no_epoch

SHOWS_SAMPLES = '<meta name="gwa-attrib-shows" content="samples">'
"""In the head of a report that shows pictures, texts or values."""


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


def refuse_poorer(target: Path, page: str, run: Run, notes: list[str]) -> None:
    """Refuse to replace a report of this run that shows samples by one that cannot.

    Raises:
        InputError: that is what would happen.
    """
    if SHOWS_SAMPLES in page or not target.is_file():
        return
    there = target.read_text(encoding="utf-8", errors="replace")
    if SHOWS_SAMPLES in there and run.run_id in there:
        raise InputError(
            expected="the samples of the run, to show them as the report that is there does",
            found=f"no data. {' '.join(notes)}".strip() + f" {target} would lose its pictures, texts and values",
            todo="Pass data= to gwa.report, or name another file (--out).",
        )
