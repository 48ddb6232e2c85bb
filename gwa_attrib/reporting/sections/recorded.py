"""The section about what was run: the data, the model's head, the training and the versions."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import PurePosixPath, PureWindowsPath

import numpy as np

from gwa_attrib.reporting.context import Context
from gwa_attrib.reporting.section import Section
from gwa_attrib.reporting.wording import listed, number, shortened, visible

LONGEST = 200
"""Characters of a value of the configuration."""


def section(context: Context) -> Section:
    """Facts of run.json and the number of samples, classes and epochs."""
    run, info = context.run, context.run.info
    never_seen = int(np.sum(run.labels < 0))
    seconds = np.nansum(context.column("seconds"))
    numbers = context.signals.epochs
    facts = {
        "Run": f"{run.path.name} (id {str(info['run_id'])[:8]})",
        "Began": _moment(str(info.get("began", "unknown"))),
        "Samples": f"{len(run.sample_ids):,}" + (f", of which {never_seen:,} were never seen" if never_seen else ""),
        "Classes": f"{len(run.class_names):,}: {listed([shortened(name, 30) for name in run.class_names], 10)}",
        "Epochs": f"{len(numbers):,}, numbered {numbers[0]} to {numbers[-1]}; {number(float(seconds), 1)} seconds",
        "Head": _head(info["head"]),
        "Signals": ", ".join(info["signals"]),
        "Versions": ", ".join(f"{name} {version}" for name, version in info["versions"].items()),
    }
    config = {visible(name): value for name, value in _flat(info["config"])}
    return Section("recorded", "What was run", {"facts": _visible(facts), "config": config})


def _visible(facts: Mapping[str, str]) -> dict[str, str]:
    return {name: visible(value) for name, value in facts.items()}


def _head(name: str | None) -> str:
    if name is None:
        return "unknown"
    return f"{name or 'the model itself'}, the final linear layer; alignments are of its kernel, without the bias"


def _moment(text: str) -> str:
    try:
        return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M %Z}"
    except ValueError:
        return text


def _flat(config: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", shortened(visible(_value(value)), LONGEST)


def _value(value: object) -> str:
    """Cut a path on the author's machine to its last part: the report is made to be sent."""
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False, default=str)
    path = next((path for path in (PurePosixPath(value), PureWindowsPath(value)) if path.is_absolute()), None)
    return value if path is None else path.name
