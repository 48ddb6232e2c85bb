"""Going on with a run: whether it is the same recording, which epochs are whole, and giving up later ones."""

from collections.abc import Mapping, Sequence

from gwa_attrib.errors import InputError, RunError
from gwa_attrib.files.places import Place
from gwa_attrib.files.whole import TMP
from gwa_attrib.store.claim import delete, refuse_links
from gwa_attrib.store.kept import checkpoints
from gwa_attrib.store.run_files import parts
from gwa_attrib.store.run_json import RunInfo, processes_of
from gwa_attrib.store.schema import EPOCHS, FOLDERS, OBSERVATIONS, PartName, SpanName

SAME = ("num_samples", "signals", "layers")


def check_same(found: Mapping[str, object], given: Mapping[str, object]) -> None:
    """Compare what run.json says with what the recording is begun with now.

    Raises:
        InputError: they differ in what every epoch of a run has in common.
    """
    wanted = {name: given[name] for name in SAME}
    if given["class_names"]:
        wanted["class_names"] = given["class_names"]
    for name, value in wanted.items():
        if found.get(name) != value:
            raise InputError(
                expected=f"the recording to go on as it was begun, with {name} {found.get(name)}",
                found=f"{value}",
                todo="Pass the same settings, or record into another folder.",
            )


def lacks_files(info: RunInfo, files: Sequence[Place]) -> bool:
    """Tell whether files of an epoch are missing, of one process at least that recorded it."""
    # A compacted file has no part name: it was made only of epochs that lacked nothing.
    name = PartName.parse(files[0]) if files else None
    return not files or (name is not None and len(files) < processes_of(info, name.attempt))


def whole_epochs(root: Place, info: RunInfo) -> int:
    """Count the epochs, from the first, that all processes have written to their end."""
    there = [parts(root / folder) for folder in (OBSERVATIONS, EPOCHS)]
    written = {epoch for epoch in there[0] if not any(lacks_files(info, files.get(epoch, [])) for files in there)}
    return next(number for number in range(len(written) + 1) if number not in written)


def check_stored(root: Place, stored: int, epoch: int) -> None:
    """Raise InputError unless a recording of `stored` whole epochs can go on with `epoch`."""
    if not 0 <= epoch <= stored:
        raise InputError(
            expected=f"to go on after at most the {stored} epochs that are recorded in {root}",
            found=f"epoch {epoch}",
            todo="Go on from an earlier checkpoint, or record into another folder.",
        )


def _is_later(path: Place, epoch: int) -> bool:
    name, span = PartName.parse(path), SpanName.parse(path)
    if span is not None and span.first < epoch <= span.last:
        raise RunError(
            expected=f"to be able to give up the epochs from {epoch} on in {path.parent.parent}",
            found=f"{path.name}, in which they are joined with earlier ones",
            todo=f"Go on from epoch {span.last + 1}, or record into another folder.",
        )
    return (name is not None and name.epoch >= epoch) or (span is not None and span.first >= epoch)


def give_up_from(root: Place, epoch: int) -> None:
    """Delete what is stored of `epoch` and all later ones; the observations first, without which there is no epoch.
    What a killed process left half-written goes too.

    Raises:
        RunError: a file cannot be deleted, holds earlier epochs as well, or lies behind a link.
    """
    refuse_links(root)
    later = [path for folder in FOLDERS for path in sorted((root / folder).glob("*")) if _is_later(path, epoch)]
    later += [path for number, path in checkpoints(root).items() if number >= epoch]
    later += [path for path in (root / TMP).glob("*.*") if path.is_file()]
    delete(
        later, what=f"the epochs from {epoch} on in {root}", todo="Fix the permissions, or record into another folder."
    )
