"""Deleting files of a run: only what is its own, and with an error that says what to do."""

from collections.abc import Iterable

from gwa_attrib.errors import RunError
from gwa_attrib.files.places import Place
from gwa_attrib.files.whole import TMP
from gwa_attrib.store.schema import CHECKPOINTS, FOLDERS


def delete(files: Iterable[Place], *, what: str, todo: str) -> None:
    """Delete in this order; a file that is gone already is no error.

    Raises:
        RunError: one cannot be deleted; `what` says of what it is, `todo` what helps.
    """
    try:
        for file in files:
            file.unlink(missing_ok=True)
    except OSError as error:
        raise RunError(
            expected=f"to be able to delete {what}", found=f"{type(error).__name__}: {error}", todo=todo
        ) from error


def refuse_links(root: Place) -> None:
    """What a folder of the run leads to elsewhere is not the run's to delete.

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
