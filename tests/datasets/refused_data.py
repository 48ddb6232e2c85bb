"""What the tests of the readers share: how a refusal has to read, and texts that must come through as they are."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gwa_attrib.errors import DataError

HOSTILE = (
    "</script><script>alert(1)</script>",
    "line\nend\r\ttab",
    "\x1b[31mred\x07",
    '=cmd|"/c calc"!A1',
    "a,b;c\"d'e",
    "x" * 10_000,
    "naïve 猫 🐈 \u202eabc",
    "a\x00b",
)


@contextmanager
def refused(*parts: str) -> Iterator[None]:
    """Inside, a DataError has to be raised with all of its three parts, and `parts` in its text."""
    with pytest.raises(DataError) as caught:
        yield
    error = caught.value
    assert error.expected
    assert error.found
    assert error.todo.endswith(".")
    for part in parts:
        assert part in str(error)
