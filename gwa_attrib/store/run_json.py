"""run.json: what a new run says in it, and what a run that was found says, checked: it may come from anywhere."""

import json
import platform
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from gwa_attrib.errors import NotARunError, RunFormatError
from gwa_attrib.files.places import Place
from gwa_attrib.store.schema import RUN_FILE, SCHEMA_VERSION

LARGEST = 2**63 - 1


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= LARGEST


def _are_counts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_count, value))


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


NEEDED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "schema_version": (lambda value: value is not None, "a version"),
    "run_id": (lambda value: isinstance(value, str), "a text"),
    "status": (lambda value: isinstance(value, str), "a text"),
    "num_samples": (_is_count, "a count"),
    "class_names": (_are_texts, "a list of texts"),
    "config": (lambda value: isinstance(value, dict), "an object"),
}
"""What has to be there, and how it has to look."""
OPTIONAL = {
    "signals": (_are_texts, "a list of texts"),
    "layers": (_are_texts, "a list of texts"),
    "attempts": (_is_count, "a count"),
    "world_size": (_is_count, "a count"),
    "earlier_world_sizes": (_are_counts, "a list of counts"),
}


def read_info(root: Place) -> dict[str, Any]:
    """The facts of run.json.

    Raises:
        NotARunError: there is no run in the folder.
        RunFormatError: run.json cannot be understood.
    """
    file = root / RUN_FILE
    if not file.is_file():
        raise NotARunError(
            expected=f"a run in {root}, with a {RUN_FILE}",
            found="no such folder" if not root.exists() else f"no {RUN_FILE}",
            todo="Give the folder that was passed to gwa.record(...) or to `gwa-attrib audit --out`.",
        )
    try:
        info = json.loads(file.read_text(encoding="utf-8"))
        version, *_ = (info[key] for key in NEEDED)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise _not_understood(file, f"{type(error).__name__}: {error}") from error
    if version != SCHEMA_VERSION or isinstance(version, bool):
        raise RunFormatError(
            expected=f"a run of schema version {SCHEMA_VERSION}",
            found=f"version {version!r} in {file}",
            todo="Read it with the version of gwa_attrib that wrote it.",
        )
    for name, (fits, kind) in {**NEEDED, **OPTIONAL}.items():
        if name in info and not fits(info[name]):
            raise _not_understood(file, f"{name} that is not {kind}")
    return {"signals": [], **info}


def processes_of(info: Mapping[str, Any], attempt: int) -> int:
    """How many processes recorded in an attempt: so many files has each epoch of it."""
    earlier = info.get("earlier_world_sizes", [])
    return int(earlier[attempt] if attempt < len(earlier) else info.get("world_size", 1))


def _not_understood(file: Place, found: str) -> RunFormatError:
    return RunFormatError(
        expected=f"{file} to be a JSON object with {', '.join(NEEDED)}",
        found=found,
        todo="Restore the file from a copy of the run; the parquet files beside it can still be read.",
    )


def new_info(
    *,
    class_names: Sequence[str] | None,
    signals: Sequence[str],
    num_samples: int,
    config: Mapping[str, Any],
    layers: Sequence[str] = (),
    world_size: int = 1,
) -> dict[str, Any]:
    """Facts about a run that begins now. `status` is "recording" until it ends, "complete" or "interrupted" after."""
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": uuid.uuid4().hex,
        "status": "recording",
        "began": datetime.now(UTC).isoformat(timespec="seconds"),
        "attempts": 1,
        "world_size": world_size,
        "num_samples": num_samples,
        "head": None,
        "optimizer": None,
        "layers": list(layers),
        "class_names": [str(name) for name in class_names or ()],
        "signals": list(signals),
        "versions": {"python": platform.python_version(), **_versions("gwa_attrib", "torch", "numpy", "pyarrow")},
        "config": dict(config),
    }


def _versions(*packages: str) -> dict[str, str]:
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed as a package"
    return found
