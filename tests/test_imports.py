"""Imports point one way: a part of the package knows only the parts below it, wherever the import stands."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import gwa_attrib

PACKAGE = Path(gwa_attrib.__file__).parent
LEVELS: list[list[str]] = [
    ["errors", "cost", "legible", "thresholds"],
    ["files", "notebook", "patience"],
    ["_registry", "functional", "progress"],
    ["scores", "store", "neighbours"],
    ["capture", "analyses", "proxies"],
    ["recorder"],
    ["recording", "diagnosis", "attributors", "evaluation", "augment", "datasets", "models", "sklearn"],
    ["export", "plot"],
    ["integrations", "report", "training"],
    ["duration"],
    ["audit", "comparison"],
    ["audited_model"],
    ["baselines", "removal_curves", "cleaning"],
    ["compared_methods"],
    ["method_comparison"],
    ["cli"],
]
LEVEL = {part: number for number, parts in enumerate(LEVELS) for part in parts}
ONLY = {
    "opacus": {"capture"},
    "matplotlib": {"plot", "report"},
    "jinja2": {"report"},
    **{name: {"integrations"} for name in ("lightning", "pytorch_lightning", "skorch", "accelerate")},
}
"""Which part may import a library at all."""

FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or path.stem != "__init__")


def part_of(file: Path) -> str:
    return file.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(file: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of everything imported, at module level and inside functions, for real and for types."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno} imports relatively: say the whole name"
            if node.module == "gwa_attrib":
                yield from ((node.lineno, f"gwa_attrib.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, node.module or ""
        elif isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "import_module":
            yield from ((node.lineno, a.value) for a in node.args if isinstance(a, ast.Constant))


each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))


@each_file
def test_every_file_has_a_level(file: Path) -> None:
    assert part_of(file) in LEVEL, "a new part of the package: say in LEVELS what it may know"


@each_file
def test_a_part_knows_only_what_is_below_it(file: Path) -> None:
    own = part_of(file)
    for line, name in imports(file):
        package, _, other = name.partition(".")
        if package != "gwa_attrib" or other.startswith("__") or (own, other) == ("cli", ""):
            continue  # facts of the package, such as its version; and the command line, which calls what users call
        assert other, f"{file.relative_to(PACKAGE)}:{line} imports the whole package"
        other = other.partition(".")[0]
        allowed = other == own or LEVEL[other] < LEVEL[own]
        assert allowed, f"{file.relative_to(PACKAGE)}:{line}: {own} must not know {other}"


@each_file
def test_a_library_is_imported_by_its_one_owner(file: Path) -> None:
    for line, name in imports(file):
        owners = ONLY.get(name.split(".")[0])
        assert owners is None or part_of(file) in owners, f"{file.relative_to(PACKAGE)}:{line} imports {name}"


def test_the_package_itself_has_no_logic() -> None:
    """`__init__` holds a docstring, imports, names, and the function that imports them late."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    kinds = (ast.Expr, ast.Import, ast.ImportFrom, ast.If, ast.Assign, ast.AnnAssign, ast.FunctionDef)
    for node in tree.body:
        assert isinstance(node, kinds), ast.dump(node)
        assert not isinstance(node, ast.FunctionDef) or node.name in ("__getattr__", "__dir__")


@each_file
def test_no_file_and_no_function_is_long(file: Path) -> None:
    """300 lines and 50 lines: more than one idea."""
    text = file.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            length = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            assert length <= 50, f"{file.relative_to(PACKAGE)}:{node.lineno} {node.name} has {length} lines"


def test_the_walk_finds_imports_wherever_they_stand(tmp_path: Path) -> None:
    """This test's own eyes."""
    file = tmp_path / "x.py"
    file.write_text("import a.b\ndef f():\n    from c import d\n    import_module('e')\nfrom gwa_attrib import store\n")
    assert [name for _, name in sorted(imports(file))] == ["a.b", "c", "e", "gwa_attrib.store"]
