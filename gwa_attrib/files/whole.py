"""Files and folders that appear whole or not at all: after ``kill -9``, on a full disk, beside another writer."""

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from gwa_attrib.errors import RunError, RunExistsError
from gwa_attrib.files.places import Place, is_remote

TMP = "_tmp"
"""Folder of a run in which its files are written."""
_NAME = 40
"""Characters of a name that its half-written file keeps: with more it might be too long where the whole one is not."""


@contextmanager
def whole_file(target: Place, *, within: Place | None = None) -> Iterator[Path]:
    """A path to write to, which becomes `target` when the block ends well: durable first, then under its name.

    What was there is replaced; a reader sees the old file or the new one. Several processes may write one file at once:
    each writes its own, and the last one stays. To an object store a whole file is sent, which appears there at once.

    Args:
        target: A file, whose folder is made if need be.
        within: The folder of a run, for a file of the run: it is written in ``within/_tmp``, where nobody looks.

    Raises:
        RunError: it cannot be written; `target` is as it was, and nothing half-written is left.
    """
    if is_remote(target):
        with _sent(target) as sent:
            yield sent
        return
    with _half(target, within) as half:
        yield half
        # The bytes first, then the name: after a crash the new name could stand for an empty file otherwise.
        _fsync(half)
        half.replace(target)
        # The folder holds the name, which is durable only when the folder is.
        _fsync(target.parent)


@contextmanager
def whole_folder(target: Path, what: str = "the export") -> Iterator[Path]:
    """A path for a new folder, which becomes `target` when the block ends well.

    Raises:
        RunExistsError: `target` is there already and is not an empty folder.
        RunError: it cannot be written; nothing half-written is left.
    """
    if is_taken(target):
        raise RunExistsError(
            expected=f"a new folder for {what}",
            found=f"{target}, which is there already",
            todo="Name another one with --out, or remove it: nothing is overwritten.",
        )
    with _half(target, None) as half:
        yield half
        # Empty, as `is_taken` has seen; anything that came in since makes this fail, and nothing is lost.
        if target.is_dir():
            target.rmdir()
        half.rename(target)


def write_text(target: Place, text: str, *, within: Place | None = None) -> None:
    """Write a file in UTF-8; see `whole_file`.

    Raises:
        RunError: it cannot be written; what was there before is still there.
    """
    with whole_file(target, within=within) as half:
        # As bytes: text mode would write the line ends of the platform, and a run is read on others.
        half.write_bytes(text.encode("utf-8"))


def is_taken(target: Path) -> bool:
    """Tell whether something is there that a new folder would replace: all but an empty folder."""
    return target.exists() and not (target.is_dir() and not any(target.iterdir()))


@contextmanager
def _half(target: Path, within: Path | None) -> Iterator[Path]:
    # A name of its own: under a fixed one two writers would write into one half file.
    name = f"{target.name[:_NAME]}.{uuid.uuid4().hex}"
    half = target.with_name(f".{name}.half") if within is None else within / TMP / name
    try:
        half.parent.mkdir(parents=True, exist_ok=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        yield half
    except OSError as error:
        _forget(half)
        # A RunError is an OSError, and says already what to do.
        if isinstance(error, RunError):
            raise
        raise _cannot_write(target, error) from error
    # Ctrl-C among them.
    except BaseException:
        _forget(half)
        raise


@contextmanager
def _sent(target: Any) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        half = Path(folder) / target.name
        yield half
        try:
            target.fs.makedirs(target.parent.path, exist_ok=True)
            target.fs.put_file(str(half), target.path)
        except Exception as error:  # whatever the store's package makes of it
            raise _cannot_write(target, error) from error


def _cannot_write(target: Place, error: Exception) -> RunError:
    return RunError(
        expected=f"to be able to write {target}",
        found=f"{type(error).__name__}: {error}",
        todo="Free space, fix the permissions, or name another place. What was written before is whole.",
    )


def _forget(half: Path) -> None:
    if half.is_dir():
        shutil.rmtree(half, ignore_errors=True)
        return
    with suppress(OSError):
        half.unlink(missing_ok=True)


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
