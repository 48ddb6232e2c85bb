"""Places of runs: a folder, or an object store."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gwa_attrib.errors import InputError, MissingDependencyError

if TYPE_CHECKING:
    Place = Path
else:
    Place = Any
    """A path of this machine, or what behaves as one: universal_pathlib's are no subclass of it."""

_COLLAPSED = re.compile(r"[a-z][a-z0-9+.-]+:/[^/]")
"""An address with a protocol as pathlib leaves it."""


def place(path: str | Place) -> Place:
    """Open a place: a folder, or for an address with a protocol (``s3://bucket/runs/a``) what behaves as one.

    Raises:
        InputError: an address that was put into a `pathlib.Path`, which drops a part of it.
        MissingDependencyError: universal_pathlib, or what fsspec needs for the protocol, is not installed.
    """
    if _COLLAPSED.match(str(path)):
        raise InputError(
            expected="the address of an object store as text",
            found=f"{type(path).__name__} {str(path)!r}",
            todo="Pass 's3://bucket/run', without pathlib.Path around it.",
        )
    if "://" not in str(path):
        return Path(path)
    try:
        from upath import UPath

        found: Any = UPath(str(path), use_listings_cache=False)  # other processes write, too
        _ = found.fs  # which connects
    except (ImportError, ValueError) as error:
        raise MissingDependencyError(
            expected="universal_pathlib and the package of the object store, to use an address",
            found=f"{type(error).__name__}: {error}",
            todo="Run: pip install 'gwa-attrib[remote]', for S3 also: pip install s3fs. Or pass a folder.",
        ) from error
    return found  # type: ignore[no-any-return]


def is_remote(path: Place) -> bool:
    """Tell whether a place is no folder or file of this machine."""
    return not isinstance(path, Path)


def let_read(connection: Any, paths: Sequence[Place]) -> None:
    """Let DuckDB read these paths."""
    remote: Any = next(filter(is_remote, paths), None)
    if remote is not None and not connection.filesystem_is_registered(remote.protocol):
        connection.register_filesystem(remote.fs)


def local(path: str | Place, what: str) -> Path:
    """The path, for what has to be a file or folder of this machine.

    Raises:
        InputError: an address.
    """
    if "://" in str(path) or _COLLAPSED.match(str(path)):
        raise InputError(
            expected=f"{what} on this machine",
            found=str(path),
            todo="Name a file or folder here, or copy the run into a folder first.",
        )
    return Path(path)
