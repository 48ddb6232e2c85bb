"""The one way to extend gwa_attrib: a function, decorated with the facts about it.

>>> colours = Registry("colour")
>>> @colours.register("red", source="Newton 1672")
... def red(x):
...     '''The long end.'''
...     return x
>>> colours["red"].summary, colours["red"].source, colours.names()
('The long end.', 'Newton 1672', ('red',))
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from gwa_attrib.errors import UnknownNameError

F = TypeVar("F", bound=Callable[..., object])


@dataclass(frozen=True)
class Entry:
    """One registered function and what is known about it."""

    name: str
    function: Callable[..., object]
    source: str
    """Paper or package that defines it."""
    suspect: Literal["low", "high"] | None = None
    """Which end of its values is suspicious; None where that has no meaning."""

    @property
    def summary(self) -> str:
        """First line of the function's docstring."""
        return (self.function.__doc__ or "").strip().partition("\n")[0]

    def __call__(self, *args: object, **kwargs: object) -> Any:
        return self.function(*args, **kwargs)


class Registry:
    """Names to entries, in order of registration. Duplicates raise; an unknown name lists the known ones."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, Entry] = {}

    def register(self, name: str, *, source: str, suspect: Literal["low", "high"] | None = None) -> Callable[[F], F]:
        def decorate(function: F) -> F:
            if name in self._entries:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            if not function.__doc__:
                raise ValueError(f"{self.kind} {name!r} needs a docstring: its first line is shown to users")
            self._entries[name] = Entry(name, function, source, suspect)
            return function

        return decorate

    def names(self) -> tuple[str, ...]:
        return tuple(self._entries)

    def __getitem__(self, name: str) -> Entry:
        if name not in self._entries:
            raise UnknownNameError(
                expected=f"a {self.kind} out of: {', '.join(self._entries)}",
                found=f"{name!r}",
                todo="Choose one of the names above, or register your own.",
            )
        return self._entries[name]

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __len__(self) -> int:
        return len(self._entries)
