"""Every error says what was expected, what was found and what to do; it has a place in the tree, and travels whole."""

import ast
import copy
import inspect
import pickle
import re
from pathlib import Path

import pytest

from gwa_attrib import errors
from gwa_attrib.errors import GWAError

KINDS = [kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, GWAError)]
TREE = {
    "GWAError": Exception,
    "InputError": ValueError,
    "DataError": ValueError,
    "UnknownNameError": ValueError,
    "NotRecordedError": ValueError,
    "UntrustedModelError": ValueError,
    "MissingDependencyError": ValueError,
    "RecordingError": RuntimeError,
    "HeadError": RuntimeError,
    "StepOrderError": RuntimeError,
    "LossMismatchError": RuntimeError,
    "SampleIdError": RuntimeError,
    "LayerError": RuntimeError,
    "BatchMixingError": RuntimeError,
    "LayerMismatchError": RuntimeError,
    "RunError": OSError,
    "RunExistsError": OSError,
    "NotARunError": OSError,
    "RunFormatError": OSError,
}
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def make(kind: type[GWAError]) -> GWAError:
    return kind(expected="three of them", found="two", todo="Bring another.")


def test_the_tree_is_the_one_that_is_drawn() -> None:
    """Name, indentation and built-in base of each line of the drawing in the module's docstring."""
    assert {kind.__name__ for kind in KINDS} == set(TREE)
    lines = [
        line for line in (errors.__doc__ or "").splitlines() if "Error" in line and ("──" in line or "GWAError" in line)
    ]
    parents = {0: "Exception"}
    for line in lines:
        name = re.findall(r"\w+Error", line)[0]
        depth = line.index(name) // 4
        kind = getattr(errors, name)
        assert parents[depth - 1] in [base.__name__ for base in kind.__bases__], line
        parents[depth] = name
    assert len(lines) == len(TREE)


@every_kind
def test_is_of_the_built_in_kind_that_callers_catch(kind: type[GWAError]) -> None:
    assert issubclass(kind, GWAError)
    assert issubclass(kind, TREE[kind.__name__])


@every_kind
def test_has_three_parts_and_one_text(kind: type[GWAError]) -> None:
    error = make(kind)
    assert (error.expected, error.found, error.todo) == ("three of them", "two", "Bring another.")
    assert str(error) == "Expected three of them. Found two. Bring another."


@every_kind
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_travels_whole(kind: type[GWAError], copied) -> None:
    again = copied(make(kind))
    assert type(again) is kind
    assert str(again) == str(make(kind))
    assert vars(again) == vars(make(kind))


@every_kind
@pytest.mark.parametrize("missing", ["expected", "found", "todo"])
def test_no_part_may_be_missing(kind: type[GWAError], missing: str) -> None:
    parts = {"expected": "a", "found": "b", "todo": "C."}
    del parts[missing]
    with pytest.raises(TypeError, match=missing):
        kind(**parts)


@every_kind
def test_says_in_its_docstring_what_it_is(kind: type[GWAError]) -> None:
    assert kind.__doc__
    assert kind.__doc__ != GWAError.__doc__ or kind is GWAError


@pytest.mark.parametrize("kind", [kind for kind in KINDS if issubclass(kind, OSError)], ids=lambda kind: kind.__name__)
def test_an_error_of_the_disk_does_not_pretend_to_have_a_number(kind: type[GWAError]) -> None:
    """`OSError` takes two arguments for errno and text, and a third for a file name."""
    error = make(kind)
    assert isinstance(error, OSError)
    assert (error.errno, error.strerror, error.filename) == (None, None, None)


PACKAGE = Path(errors.__file__).parent


def raised() -> list[tuple[str, dict[str, ast.expr]]]:
    """Every place in the package that makes one of our errors, with the parts it gives."""
    found = []
    names = {kind.__name__ for kind in KINDS}
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
                parts = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
                found.append((f"{file.relative_to(PACKAGE)}:{node.lineno}", parts))
    return found


def literal(node: ast.expr) -> str:
    """The text of a string or an f-string, with x for what is filled in."""
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "x" for part in node.values)
    return str(node.value) if isinstance(node, ast.Constant) else "x"


def test_every_error_of_the_package_keeps_the_grammar() -> None:
    """The first two parts continue a sentence and end without a stop; the third is a sentence."""
    wrong = []
    assert len(raised()) > 30
    for place, parts in raised():
        assert set(parts) == {"expected", "found", "todo"}, place
        expected, found, todo = (literal(parts[name]) for name in ("expected", "found", "todo"))
        if (
            expected.endswith(".")
            or found.endswith(".")
            or not (todo.endswith((".", "x")) and todo[0] in "x" + todo[0].upper())
        ):
            wrong.append((place, expected, found, todo))
    assert not wrong


def test_nothing_in_the_package_asserts() -> None:
    """`python -O` drops assertions, and their text helps nobody."""
    for file in PACKAGE.rglob("*.py"):
        nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        assert not [node.lineno for node in nodes if isinstance(node, ast.Assert)], file
