"""The layout's rules, as `scripts/house` and import-linter hold them: what they would find is found."""

import subprocess
import sys
import tomllib
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

import gwa_attrib
from tests import ROOT

PACKAGE = Path(gwa_attrib.__file__).parent


@pytest.fixture(scope="module")
def house() -> ModuleType:
    loader = SourceFileLoader("house", str(ROOT / "scripts" / "house"))
    spec = spec_from_loader("house", loader)
    assert spec is not None
    module = module_from_spec(spec)
    sys.modules["house"] = module  # dataclasses look their module up
    loader.exec_module(module)
    return module


def test_no_rule_of_the_layout_is_broken(house: ModuleType) -> None:
    assert house.broken_rules(PACKAGE) == []


BREACHES = {
    "a/long.py": ("x = 1\n" * 401, "401 lines"),
    "a/work.py": ("def work():\n    '''Do it.'''\n", "the function work shares"),
    "a/words.py": ("'''A module.'''\nLIMIT = 1\n'''Of the work.'''\n", "begins with 'Of'"),
    "a/method.py": (
        "class C:\n    '''A class.'''\n    def f(self):\n        '''Whether it is.'''\n",
        "begins with 'Whether'",
    ),
    "a/steps.py": ("def f():\n    '''Do it.'''\n" + "    x = 1\n" * 51, "f has 51 lines"),
    "a/loose.py": ("from typing import Any\nx: Any = 1\n", "uses of Any"),
    "a/twice.py": ("", "share a name"),
    "a/__init__.py": ("'''A.'''\nfrom p.b.other import twice\n", "twice hides the module"),
}


@pytest.mark.parametrize("name", BREACHES)
def test_each_kind_of_breach_is_found(house: ModuleType, name: str, tmp_path: Path) -> None:
    text, said = BREACHES[name]
    files = {"__init__.py": "", "a/__init__.py": "", "b/__init__.py": "", "b/other.py": ""}
    files |= {"a/twice.py": "", "b/twice.py": ""} if "twice" in said or "share a name" in said else {}
    for file, content in (files | {name: text}).items():
        (tmp_path / "p" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "p" / file).write_text(content, encoding="utf-8")
    assert any(said in line for line in house.broken_rules(tmp_path / "p"))


def test_a_folder_that_is_too_full_is_found(house: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    for number in range(16):
        (tmp_path / "p" / f"m{number}.py").write_text("", encoding="utf-8")
    assert any("16 files" in line for line in house.broken_rules(tmp_path / "p"))


def layers() -> list[set[str]]:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    listed = next(contract["layers"] for contract in contracts if contract["id"] == "layers")
    return [set(floor.split(" | ")) for floor in listed]


def test_the_drawing_in_the_docs_is_the_list_of_layers() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    drawing = text.partition("## The layers")[2].partition("```")[2].partition("```")[0]
    floors: list[set[str]] = []
    for line in drawing.strip("\n").splitlines():
        if not line.strip():
            continue
        name = line.split()[0]
        if line.startswith(" "):
            floors[-1].add(name)
        else:
            floors.append({name})
    assert floors == layers()


@pytest.mark.parametrize(
    "line", ["from gwa_attrib.store import open_run", "import gwa_attrib.cli", "import matplotlib"]
)
def test_an_import_against_the_direction_breaks_the_contract(line: str, tmp_path: Path) -> None:
    """In a copy of the package, with one line more on the ground floor."""
    import shutil

    shutil.copytree(PACKAGE, tmp_path / "gwa_attrib", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "gwa_attrib" / "thresholds.py").open("a", encoding="utf-8") as file:
        file.write(f"\n{line}\n")
    linter = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo"]
    done = subprocess.run(linter, cwd=tmp_path, capture_output=True, text=True, env={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 1
    assert "thresholds" in done.stdout
