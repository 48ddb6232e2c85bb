"""Files that appear whole or not at all, also after ``kill -9`` or a full disk."""

import os
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from gwa_attrib.errors import RunError
from gwa_attrib.store.schema import TMP


def atomic_write(root: Path, target: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a file in ``root/_tmp``, make it durable, then move it to `target`.

    Raises:
        RunError: the disk is full or not writable; `target` is as it was and the half-written file is gone.
    """
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
        raise RunError(
            expected=f"to be able to write {target}",
            found=f"{type(error).__name__}: {error}",
            todo="Free space or fix the permissions. What was written before this file is whole and can be read.",
        ) from error
    except BaseException:
        _forget(half)
        raise


def _forget(half: Path) -> None:
    with suppress(OSError):
        half.unlink()


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
