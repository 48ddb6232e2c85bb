"""Cautions: what limits the conclusions of this very run."""

from collections.abc import Iterator

import numpy as np

from gwa_attrib.reporting.context import Context
from gwa_attrib.reporting.suspects.previews import Preview
from gwa_attrib.reporting.wording import count, listed, percent, visible
from gwa_attrib.store import inspect

FEW_EPOCHS = 5
FEW_SAMPLES = 5


def cautions_of(context: Context) -> tuple[list[str], list[str]]:
    """Collect what the one who cleans has to know first, and what else limits the conclusions, in short sentences."""
    first = [*_recording(context), *(visible(note) for note in context.notes), *_shown(context), *_unseen(context)]
    return first, [*_classes(context), *_coverage(context), *_gwa(context)]


def _recording(context: Context) -> Iterator[str]:
    facts = inspect(context.run)
    if facts["status"] == "interrupted":
        yield "The training was interrupted. The report is about the epochs before that, which are whole."
    elif facts["status"] != "complete":
        yield f"The recording has not ended (it is {visible(facts['status'])}). The report is about the epochs so far."
    if facts["missing_epochs"]:
        yield f"Epochs {listed(facts['missing_epochs'])} are missing or not whole."
    if facts["epochs"] < FEW_EPOCHS:
        yield (
            f"Only {count(facts['epochs'], 'epoch')} recorded: with fewer than {FEW_EPOCHS}, trajectories say little. "
            "Treat the ranking as a first impression."
        )


def _coverage(context: Context) -> Iterator[str]:
    coverage = context.column("coverage")
    partial = [epoch for epoch, share in zip(context.signals.epochs, coverage, strict=True) if share < 1]
    if partial:
        yield (
            f"{'Epoch' if len(partial) == 1 else 'Epochs'} {listed(partial)} did not see every sample (lowest coverage "
            f"{percent(float(np.nanmin(coverage)))}). A sample has no value in an epoch that did not see it."
        )
    undefined = int(np.nansum(context.column("undefined")))
    if undefined:
        yield (
            f"{count(undefined, 'observation has', 'observations have')} no alignment, because the gradient or the "
            "weight was exactly zero. They are left out of the means."
        )


def _unseen(context: Context) -> Iterator[str]:
    never = int(np.sum(context.run.labels < 0))
    if never:
        yield f"{count(never, 'sample was', 'samples were')} never seen in training: no score, so never a suspect."


def _classes(context: Context) -> Iterator[str]:
    sized = list(zip(context.run.class_names, context.class_sizes.tolist(), strict=True))
    small = [name for name, size in sized if 0 < size < FEW_SAMPLES]
    if small:
        yield (
            f"{count(len(small), 'class has', 'classes have')} fewer than {FEW_SAMPLES} samples ({listed(small)}). "
            "A model hardly learns such a class: its samples become suspects whether their labels are right or not."
        )
    empty = [name for name, size in sized if size == 0]
    if empty:
        yield f"{count(len(empty), 'class has', 'classes have')} no sample at all: {listed(empty)}."


def _gwa(context: Context) -> Iterator[str]:
    epochs = [epoch for epoch, good in zip(context.signals.epochs, context.reliable, strict=True) if not good]
    if epochs:
        yield (
            f"GWA is unreliable in {count(len(epochs), 'epoch')} ({listed(epochs)}): the alignments fall into two "
            "groups, or too few are defined, and the kurtosis correction breaks down. Go by the mean alignment there."
        )


def _shown(context: Context) -> Iterator[str]:
    if context.data is None:
        return
    number = {name: i for i, name in enumerate(context.run.class_names)}
    shown = zip(context.suspects.given, context.previews, strict=False)
    other = sum(_differs(preview, given, number.get(given)) for given, preview in shown)
    if other:
        yield (
            f"{other} of the {len(context.previews)} samples in the gallery have another label in the data now than "
            "was recorded. Check that it is the data set of this run."
        )
    unreadable = [preview.missing for preview in context.previews if preview.missing]
    if unreadable:
        yield (
            f"{len(unreadable)} of the {len(context.previews)} samples in the gallery cannot be shown; the first: "
            f"{visible(unreadable[0])}."
        )


def _differs(preview: Preview, given: str, number: int | None) -> bool:
    """Tell whether the data have another label than the run: by its number, as their names may be other ones."""
    if preview.number is not None and number is not None:
        return preview.number != number
    return preview.label is not None and preview.label not in (given, str(number))
