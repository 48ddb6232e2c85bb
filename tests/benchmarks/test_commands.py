"""The benchmarks are no part of the package, but they must go on working with it."""

import importlib.util

import pytest

from tests import ROOT

FOLDER = ROOT / "benchmarks"
NAMES = sorted(file.stem for file in FOLDER.glob("*.py") if file.stem != "__init__")


@pytest.mark.parametrize("name", NAMES)
def test_it_can_be_imported(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it uses of the package is there."""
    monkeypatch.syspath_prepend(str(FOLDER))
    # By its file: `report` is also the name of a folder of tests.
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
