"""A run may come from anywhere. Whatever is in its files: a clear error, or a correct read; no crash, no hang.

More inputs than the tests make::

    GWA_FUZZ=10000 python -m pytest tests/store/test_fuzz.py
"""

import os
import random
import shutil
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gwa_attrib as gwa
from gwa_attrib.cleaning import read_decisions
from gwa_attrib.errors import GWAError
from gwa_attrib.evaluation.verification import kept_verification
from gwa_attrib.store import Run, inspect, open_run
from gwa_attrib.store.kept import kept_duplicates, kept_features
from tests.store import mutations

INPUTS = int(os.environ.get("GWA_FUZZ", "100"))
SECONDS = 20
"""A reader that takes longer hangs."""

EVERY = ("run.json", "samples.parquet")
HEAD = (*EVERY, "observations")
READERS: dict[str, tuple[tuple[str, ...], Callable[[Run], Any]]] = {
    "open": (("run.json",), lambda run: run.class_names),
    "samples": (EVERY, lambda run: run.samples),
    "epochs": ((*EVERY, "epochs"), lambda run: run.epochs()),
    "observations": (HEAD, lambda run: run.observations()),
    "one epoch": (HEAD, lambda run: run.observations(("loss", "label"), epoch=1)),
    "by_epoch": (HEAD, lambda run: list(run.by_epoch("correct", "alignment", "top_class", "top_prob"))),
    "trajectory": (HEAD, lambda run: run.trajectory("margin")),
    "probe": ((*HEAD, "probe"), lambda run: run.trajectory("loss", table="probe")),
    "layers": ((*HEAD, "layers"), lambda run: run.layer_observations()),
    "layer": ((*HEAD, "layers"), lambda run: run.trajectory("dot", layer="stem")),
    "inspect": ((*HEAD, "layers", "probe", "epochs"), inspect),
    "features": ((*EVERY, "features.npy"), kept_features),
    "duplicates": ((*EVERY, "duplicates.parquet"), kept_duplicates),
    "verification": ((*EVERY, "verification.json"), kept_verification),
    "decisions": ((*EVERY, "decisions.csv"), lambda run: read_decisions(run.path / "decisions.csv", run)),
    "harmful": (
        (*HEAD, "features.npy", "duplicates.parquet"),
        lambda run: gwa.rank(run, "harmful").to_frame(),
    ),
    "groups": (HEAD, lambda run: gwa.groups(run, "source")),
    "duckdb": (HEAD, lambda run: run.scan("duckdb")),
    "polars": (HEAD, lambda run: run.scan("polars")),
    "pyarrow": (HEAD, lambda run: run.scan("pyarrow")),
}
"""What reads a run, and which of its files."""


@contextmanager
def in_time() -> Iterator[None]:
    def late(*_: object) -> None:
        raise TimeoutError(f"it takes more than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def read_all(path: Path, spoilt: str) -> dict[str, str]:
    """What the readers of a file raise that is no error of ours."""
    wrong = {}
    for name, (files, read) in READERS.items():
        try:
            with in_time(), warnings.catch_warnings(action="ignore"):
                if spoilt in files:
                    read(open_run(path))
        except GWAError:
            continue
        except Exception:
            wrong[name] = traceback.format_exc(limit=-3)
    return wrong


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mutations.base_run(tmp_path_factory.mktemp("fuzz") / "run").path


def test_a_good_run_is_read_by_all(base: Path) -> None:
    for name, (_, read) in READERS.items():
        assert read(open_run(base)) is not None, name


@pytest.mark.slow
@given(seed=st.integers(0, 2**64))
@settings(max_examples=INPUTS, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_spoilt_run_is_refused_or_read(base: Path, tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    folder = base.parent / "spoilt"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(base, folder / "run")
    file, how = mutations.spoil(folder / "run", random.Random(seed))
    wrong = read_all(folder / "run", file.parts[0])
    assert not wrong, f"{file}: {how}\n" + "\n".join(f"--- {name}\n{text}" for name, text in wrong.items())
