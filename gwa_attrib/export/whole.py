"""Files and folders that appear whole or not at all."""

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gwa_attrib.errors import RunError, RunExistsError


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """A path to write to, which becomes `target` when the block ends well; what was there is replaced.

    Raises:
        RunError: it cannot be written.
    """
    with _half(target) as half:
        yield half


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A path for a new folder, which becomes `target` when the block ends well.

    Raises:
        RunExistsError: `target` is there already and is not an empty folder.
        RunError: it cannot be written.
    """
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise RunExistsError(
            expected="a new folder for the export",
            found=f"{target}, which is there already",
            todo="Name another one with --out, or remove it: nothing is overwritten.",
        )
    with _half(target) as half:
        yield half
        if target.is_dir():
            target.rmdir()


@contextmanager
def _half(target: Path) -> Iterator[Path]:
    half = target.with_name(f".{target.name}.{uuid.uuid4().hex}.half")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield half
        half.replace(target)
    except OSError as error:
        _forget(half)
        if isinstance(error, RunError):
            raise
        raise RunError(
            expected=f"to be able to write {target}",
            found=f"{type(error).__name__}: {error}",
            todo="Free space, fix the permissions, or name another place.",
        ) from error
    except BaseException:
        _forget(half)
        raise


def _forget(half: Path) -> None:
    if half.is_dir():
        shutil.rmtree(half, ignore_errors=True)
    else:
        half.unlink(missing_ok=True)
