"""A hook on a module that stays with that module alone."""

from collections.abc import Callable
from typing import Any


class Hook:
    """Calls `function`. A copy of the module, or a saved one, gets a hook that does nothing in its place."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return no_hook

    def __reduce__(self) -> tuple[Any, ...]:
        return _get_no_hook, ()


def no_hook(*_: Any) -> None:
    """What a copied module carries instead of a hook."""


def _get_no_hook() -> Any:
    return no_hook
