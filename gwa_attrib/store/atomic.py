"""Files that appear whole or not at all, also after ``kill -9`` or a full disk."""

import os
import tempfile
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from gwa_attrib.errors import RunError
from gwa_attrib.store.place import Place, is_remote
from gwa_attrib.store.schema import TMP


def atomic_write(root: Place, target: Place, write: Callable[[Place], None]) -> None:
    """Let `write` fill a file in ``root/_tmp``, make it durable, then move it to `target`. To an object store a whole
    file is sent, which appears there at once.

    Raises:
        RunError: the disk is full or not writable; `target` is as it was and the half-written file is gone.
    """
    if is_remote(target):
        _send(target, write)
        return
    half = root / TMP / f"{target.name}.{uuid.uuid4().hex}"
    try:
        half.parent.mkdir(parents=True, exist_ok=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        write(half)
        _fsync(half)
        half.replace(target)
        _fsync(target.parent)
    except OSError as error:
        _forget(half)
        raise _cannot_write(target, error) from error
    except BaseException:
        _forget(half)
        raise


def _send(target: Any, write: Callable[[Place], None]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        half = Path(folder) / target.name
        write(half)
        try:
            target.fs.makedirs(target.parent.path, exist_ok=True)
            target.fs.put_file(str(half), target.path)
        except Exception as error:  # whatever the store's package makes of it
            raise _cannot_write(target, error) from error


def _cannot_write(target: Place, error: Exception) -> RunError:
    return RunError(
        expected=f"to be able to write {target}",
        found=f"{type(error).__name__}: {error}",
        todo="Free space or fix the permissions. What was written before this file is whole and can be read.",
    )


def _forget(half: Place) -> None:
    with suppress(OSError):
        half.unlink()


def _fsync(path: Place) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
