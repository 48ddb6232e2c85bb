"""run.json: what a new run says in it, and what a run that was found says, checked: it may come from anywhere."""

import json
import platform
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from types import NoneType
from typing import Any, TypedDict

from gwa_attrib.errors import NotARunError, RunFormatError
from gwa_attrib.files.places import Place
from gwa_attrib.store.schema import RUN_FILE, SCHEMA_VERSION

LARGEST = 2**63 - 1


class RunInfo(TypedDict, total=False):
    """The facts in run.json; what is not in `NEEDED` may be missing."""

    schema_version: int
    run_id: str
    status: str
    """"recording", "complete" or "interrupted"."""
    began: str
    attempts: int
    world_size: int
    earlier_world_sizes: list[int]
    num_samples: int
    head: str | None
    head_features: int
    optimizer: dict[str, str | float] | None
    layers: list[str]
    class_names: list[str]
    signals: list[str]
    versions: dict[str, str]
    config: dict[str, object]
    """Said by the user, or by an audit."""


def _is_count(value: object) -> bool:
    # Not `isinstance`: True is an int, too.
    return type(value) is int and 0 <= value <= LARGEST


def _are_counts(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_count, value))


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


NEEDED: dict[str, tuple[Callable[[object], bool], str]] = {
    "schema_version": (lambda value: value is not None, "a version"),
    "run_id": (lambda value: isinstance(value, str), "a text"),
    "status": (lambda value: isinstance(value, str), "a text"),
    "num_samples": (_is_count, "a count"),
    "class_names": (_are_texts, "a list of texts"),
    "config": (lambda value: isinstance(value, dict), "an object"),
}
"""Facts that have to be there, and how they have to look."""
OPTIONAL = {
    "signals": (_are_texts, "a list of texts"),
    "layers": (_are_texts, "a list of texts"),
    "attempts": (_is_count, "a count"),
    "world_size": (_is_count, "a count"),
    "earlier_world_sizes": (_are_counts, "a list of counts"),
}


def read_info(root: Place) -> RunInfo:
    """Read the facts of run.json, checked.

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
    # True == 1.
    if version != SCHEMA_VERSION or isinstance(version, bool):
        raise RunFormatError(
            expected=f"a run of schema version {SCHEMA_VERSION}",
            found=f"version {version!r} in {file}",
            todo="Read it with the version of gwa_attrib that wrote it.",
        )
    for name, (fits, kind) in {**NEEDED, **OPTIONAL}.items():
        if name in info and not fits(info[name]):
            raise _not_understood(file, f"{name} that is not {kind}")
    known: RunInfo = info
    return {"signals": [], **known}


def processes_of(info: RunInfo, attempt: int) -> int:
    """Count the processes that recorded in an attempt: so many files has each epoch of it."""
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
    config: Mapping[str, object],
    layers: Sequence[str] = (),
    world_size: int = 1,
) -> RunInfo:
    """Gather the facts about a run that begins now: `status` is "recording", at its end "complete" or "interrupted"."""
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


TO_READ_AGAIN: dict[str, tuple[type, ...]] = {
    "data": (str,),
    "label_column": (str, NoneType),
    "limit": (int, NoneType),
    "truth": (str, NoneType),
    "fingerprint": (str,),
}
"""Notes of an audit without which its data cannot be read again, and how they have to look."""


@dataclass(frozen=True)
class AuditNotes:
    """Notes of an audit in ``config`` of run.json: which data it read, and how it trained.

    A run of another making, or of an earlier version, lacks some or all of them, and run.json may come from anywhere:
    what is not there, or is no such thing, is None or empty here, and whoever needs it refuses.
    """

    made_by_audit: bool
    """False for a run that was recorded in somebody's own training loop, whose config may say anything."""
    unsaid: tuple[str, ...]
    """Names out of `TO_READ_AGAIN` that are missing, or not as an audit notes them."""
    data: str | None
    """The source, as `gwa_attrib.datasets.load` takes it."""
    kind: str | None
    """"image", "table" or "text"."""
    label_column: str | None
    truth: str | None
    """Column with verified labels."""
    limit: int | None
    fingerprint: str | None
    """Hash of the inputs, as `LabeledData.fingerprint` gives it."""
    skipped: tuple[str, ...]
    """Files that were left out, "path: reason" each; the damaged first."""
    damaged: int | None
    """How many of them are damaged; None in runs of version 0.1.0, which do not tell the two kinds apart."""
    budget: str | None
    model: str | None
    """"auto", or "module:factory"."""
    plan: Mapping[str, Any] | None
    """Arguments of `gwa_attrib.auditing.training.Plan`."""

    @classmethod
    def read(cls, info: RunInfo) -> "AuditNotes":
        """Read the notes out of the facts of a run."""
        config = info["config"]

        def text(name: str) -> str | None:
            found = config.get(name)
            return found if isinstance(found, str) else None

        def count(name: str) -> int | None:
            found = config.get(name)
            return found if isinstance(found, int) else None

        plan, skipped = config.get("plan"), config.get("skipped")

        return cls(
            made_by_audit="data" in config,
            unsaid=tuple(n for n, kinds in TO_READ_AGAIN.items() if not isinstance(config.get(n, ...), kinds)),
            data=text("data"),
            kind=text("kind"),
            label_column=text("label_column"),
            truth=text("truth"),
            limit=count("limit"),
            fingerprint=text("fingerprint"),
            skipped=tuple(map(str, skipped)) if isinstance(skipped, list) else (),
            damaged=count("damaged"),
            budget=text("budget"),
            model=text("model"),
            plan=plan if isinstance(plan, dict) else None,
        )
