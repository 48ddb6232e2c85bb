"""Room for a new run in a folder: an earlier run may be replaced, and nothing else is ever deleted."""

from collections.abc import Iterable

from gwa_attrib.errors import RunError, RunExistsError
from gwa_attrib.files.places import Place
from gwa_attrib.files.whole import TMP
from gwa_attrib.store.kept import checkpoint_epoch
from gwa_attrib.store.schema import (
    CHECKPOINTS,
    DUPLICATES,
    EMBEDDINGS,
    FEATURES,
    FOLDERS,
    RUN_FILE,
    SAMPLES_FILE,
    TOKENIZER,
    VERIFICATION,
    PartName,
    SpanName,
)


def make_room(root: Place, *, overwrite: bool) -> None:
    """Make sure that a new run may be written to `root`; with `overwrite` by deleting the run that is there.

    Raises:
        RunExistsError: the folder holds something.
        RunError: the earlier run cannot be deleted.
    """
    if not root.exists():
        return
    if not root.is_dir() or (_holds_something(root) and not (root / RUN_FILE).is_file()):
        raise RunExistsError(
            expected=f"{root} to be new or an empty folder",
            found="other files there, and no run" if root.is_dir() else "a file",
            todo="Choose another folder; what is not a run is never overwritten.",
        )
    # An empty folder, or what a killed process left half-written in `_tmp`, where no reader looks.
    if not (root / RUN_FILE).is_file():
        return
    if not overwrite:
        raise RunExistsError(
            expected=f"{root} to be new or an empty folder",
            found="an earlier run there",
            todo="Choose another folder, or replace the earlier run with overwrite=True (--overwrite).",
        )
    delete(
        _files_of_run(root), what=f"the earlier run in {root}", todo="Fix the permissions, or choose another folder."
    )


def _holds_something(root: Place) -> bool:
    """Tell whether a folder holds more than a killed process left half-written."""
    return any(path.name != TMP for path in root.iterdir())


def _files_of_run(root: Place) -> list[Place]:
    """List what a recorder wrote; run.json last, so that a deletion that fails half-way can be repeated."""
    refuse_links(root)
    parts = [p for name in FOLDERS for p in (root / name).glob("*") if PartName.parse(p) or SpanName.parse(p)]
    states = [path for path in (root / CHECKPOINTS).glob("*.pt") if checkpoint_epoch(path) is not None]
    halves = [path for path in (root / TMP).glob("*.*") if path.is_file()]
    beside = (FEATURES, EMBEDDINGS, DUPLICATES, TOKENIZER, VERIFICATION)
    return [*parts, *states, *halves, *(root / name for name in (*beside, SAMPLES_FILE, RUN_FILE))]


def delete(files: Iterable[Place], *, what: str, todo: str) -> None:
    """Delete files in this order; one that is gone already is no error.

    Raises:
        RunError: one cannot be deleted; `what` says of what it is, `todo` what helps.
    """
    try:
        for file in files:
            # Not every run has each of them, and a deletion that failed half-way is done again.
            file.unlink(missing_ok=True)
    except OSError as error:
        raise RunError(
            expected=f"to be able to delete {what}", found=f"{type(error).__name__}: {error}", todo=todo
        ) from error


def refuse_links(root: Place) -> None:
    """Refuse a folder of the run that is a link: what it leads to is not the run's to delete.

    Raises:
        RunError: a folder is a link.
    """
    for name in (*FOLDERS, CHECKPOINTS, TMP):
        if (root / name).is_symlink():
            raise RunError(
                expected=f"{root / name} to be a folder of the run, in which files are to be deleted",
                found="a link to somewhere else",
                todo="Remove the link, or choose another folder.",
            )
