"""What run.json says of a new run."""

import platform
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from gwa_attrib.store.schema import SCHEMA_VERSION


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
