"""Decisions applied: what is left of a data set, and a cleaned copy of it, the source untouched."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from gwa_attrib.cleaning.cleaned import Cleaned, clean, labels_after
from gwa_attrib.cleaning.copies import Copied, Source, copies
from gwa_attrib.cleaning.decisions import Auto, Decisions, decide
from gwa_attrib.cleaning.decisions_file import read_decisions
from gwa_attrib.datasets.again import source_as_read
from gwa_attrib.datasets.flip import BEFORE_FLIP
from gwa_attrib.datasets.labeled import LabeledData
from gwa_attrib.datasets.labels import class_positions
from gwa_attrib.datasets.loading import choose_reader
from gwa_attrib.errors import InputError, NotRecordedError, RunExistsError
from gwa_attrib.files.places import local
from gwa_attrib.files.whole import is_taken, whole_file, whole_folder
from gwa_attrib.store import Run, open_run
from gwa_attrib.store.run_json import AuditNotes

BUILT_IN = ("digits", "fashion-mnist")
FOLDER = "image-folder"


def apply(run: Run | str | Path, decisions: Decisions | Auto | str | Path, out: str | Path | None = None) -> Cleaned:
    """Apply decisions: drop and relabel samples; a cleaned copy of an audited data set is written to `out`.

    The copy has the format of the source, keeps all else that is in it (rows and images that were not audited among it,
    but no damaged images), and appears whole or not at all. The source is only read.

    Args:
        run: A run, or its folder.
        decisions: `Decisions`; or a decisions.csv of the report of this run, or a .json of Label Studio about its
            suspects; or "drop" or "relabel" for what ``decide(run, ...)`` decides.
        out: A new file of the kind of the source, or a new folder for it; the class folders of an image folder are in
            `out` itself. Built-in data sets become an .npz. None writes nothing.

    Returns:
        What is left: ids and labels, and views of data sets for training (``to_torch``, ``to_huggingface``).

    Raises:
        InputError: decisions of another run or about other samples, or none would be left.
        NotRecordedError: a copy was asked for of what no audit has read, or of what cannot be read any more.
        RunExistsError: `out` is there already, or is the source.
        RunError: it cannot be written.
    """
    opened = run if isinstance(run, Run) else open_run(run)
    chosen = as_decisions(opened, decisions)
    cleaned = clean(opened, chosen)
    if out is None:
        return cleaned
    path, copied = _write(opened, cleaned, local(out, "the cleaned copy"))
    return replace(cleaned, path=path, copied=copied)


def as_decisions(run: Run, decisions: Decisions | Auto | str | Path) -> Decisions:
    """Decisions however they are named; see `apply`."""
    if isinstance(decisions, Decisions):
        return decisions
    if decisions in ("drop", "relabel"):
        return decide(run, decisions)  # type: ignore[arg-type]
    return read_decisions(decisions, run)


def _write(run: Run, cleaned: Cleaned, out: Path) -> tuple[Path, Copied]:
    data, note = source_as_read(run)
    if data is None:
        raise NotRecordedError(
            expected="an audited data set to copy",
            found=note,
            todo="Leave `out` away, and take `sample_ids` and `labels` of what is left.",
        )
    reader, location = choose_reader(data.source)
    if reader.name not in copies:
        raise NotRecordedError(
            expected=f"a source that can be written: {', '.join(copies.names())}",
            found=reader.name,
            todo="Leave `out` away, and take `sample_ids` and `labels` of what is left.",
        )
    _check_unchanged(run, data)
    labels, left = labels_after(cleaned, np.arange(len(data)), data.labels)
    source = Source(data, Path(location), AuditNotes.read(run.info).label_column, left, labels)
    target = _target(out, reader.name, Path(location))
    with (whole_folder if reader.name == FOLDER else whole_file)(target) as half:
        copied: Copied = copies[reader.name](source, half)
    return target, copied


def _check_unchanged(run: Run, data: LabeledData) -> None:
    """The labels of the source are those that were audited, or those that the audit flipped."""
    before = run.samples.get(BEFORE_FLIP)
    audited = run.labels if before is None else class_positions(before, data.class_names)
    # The fingerprint leaves the labels out, as they are what gets corrected: so they are compared here.
    changed = np.flatnonzero((audited != data.labels) & (run.labels >= 0))
    if len(changed):
        row = changed[0]
        raise InputError(
            expected=f"{data.source} with the labels that were audited",
            found=f"{len(changed)} other labels, the first of sample {row}: {data.class_names[data.labels[row]]!r}",
            todo="Restore the labels, or audit the data again.",
        )


def _target(out: Path, reader: str, location: Path) -> Path:
    """The file or folder to write.

    Raises:
        RunExistsError: it is there, or it is the source.
    """
    suffix = {FOLDER: "", **dict.fromkeys(BUILT_IN, ".npz")}.get(reader, location.suffix)
    target = out
    if suffix and out.suffix.lower() != suffix.lower():
        target = out / (f"{reader}.npz" if reader in BUILT_IN else location.name)
    inside = reader not in BUILT_IN and location.is_dir() and target.resolve().is_relative_to(location.resolve())
    if inside or (is_taken(target) if reader == FOLDER else target.exists()):
        raise RunExistsError(
            expected="a new place for the cleaned copy",
            found=f"{target}, which is in the source" if inside else f"{target}, which is there already",
            todo="Name another one: nothing is overwritten.",
        )
    return target
