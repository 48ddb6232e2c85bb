"""The registry: a name stands for one function with its facts, and an unknown name lists the known ones."""

import pytest

from gwa_attrib._registry import Registry
from gwa_attrib.errors import UnknownNameError


@pytest.fixture
def colours() -> Registry:
    registry = Registry("colour")

    @registry.register("red", source="Newton 1672", suspect="low")
    def red(x: int, *, by: int = 1) -> int:
        """The long end.

        More about it.
        """
        return x + by

    @registry.register("blue", source="Newton 1672")
    def blue(x: int) -> int:
        """The short end."""
        return -x

    return registry


def test_an_entry_knows_its_facts_and_can_be_called(colours: Registry) -> None:
    red = colours["red"]
    assert (red.name, red.source, red.suspect, red.summary) == ("red", "Newton 1672", "low", "The long end.")
    assert red(1, by=2) == 3
    assert colours["blue"].suspect is None


def test_names_come_in_the_order_of_registration(colours: Registry) -> None:
    assert colours.names() == ("red", "blue")
    assert [entry.name for entry in colours] == ["red", "blue"]
    assert len(colours) == 2
    assert "red" in colours
    assert "green" not in colours


def test_the_decorated_function_stays_what_it_was() -> None:
    registry = Registry("colour")

    def green(x: int) -> int:
        """The middle."""
        return x

    assert registry.register("green", source="Newton 1672")(green) is green


def test_a_duplicate_is_refused_and_the_first_stays(colours: Registry) -> None:
    def other(x: int) -> int:
        """Another red."""
        return 0

    with pytest.raises(ValueError, match="colour 'red' is registered twice"):
        colours.register("red", source="me")(other)
    assert colours["red"](1) == 2


def test_a_function_without_a_docstring_is_refused(colours: Registry) -> None:
    with pytest.raises(ValueError, match="needs a docstring"):
        colours.register("green", source="me")(lambda x: x)
    assert "green" not in colours


@pytest.mark.parametrize("name", ["green", "", "RED", "red "])
def test_an_unknown_name_lists_the_known_ones(colours: Registry, name: str) -> None:
    with pytest.raises(UnknownNameError, match=rf"colour out of: red, blue\. Found '{name}'"):
        colours[name]


def test_an_entry_is_a_value(colours: Registry) -> None:
    with pytest.raises(AttributeError):
        colours["red"].name = "blue"  # type: ignore[misc]
