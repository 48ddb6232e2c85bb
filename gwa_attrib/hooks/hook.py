"""A hook on a module: it stays with that module alone, and `torch.compile` goes around it."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch

from gwa_attrib.errors import RecordingError

REASON = "gwa_attrib records here, which cannot be compiled: compile without fullgraph=True"

P = ParamSpec("P")
R = TypeVar("R")


class Hook:
    """A hook that calls `function`; a copy of the module, or a saved one, gets one that does nothing in its place."""

    def __init__(self, function: Callable[..., object]) -> None:
        self._function = function

    def __call__(self, *arguments: object) -> object:
        return self._function(*arguments)

    def __deepcopy__(self, memo: dict[int, object]) -> Callable[..., None]:
        return no_hook

    def __reduce__(self) -> tuple[Callable[[], Callable[..., None]], tuple[()]]:
        # Pickled as it is, the function would drag the recorder with its buffers and files along.
        return _get_no_hook, ()


def no_hook(*_: object) -> None:
    """The hook that a copied module carries: it does nothing."""


def _get_no_hook() -> Callable[..., None]:
    return no_hook


def untraced(function: Callable[P, R]) -> Callable[P, R]:
    """Return `function` as one around which a compiled model breaks its graph."""
    try:
        result: Callable[P, R] = torch.compiler.disable(function, reason=REASON)  # type: ignore[no-untyped-call]
    except TypeError:  # torch before 2.7 takes no reason
        result = torch.compiler.disable(function)  # type: ignore[no-untyped-call]
    return result


def explain_full_graph(error: BaseException | None) -> None:
    """Raise the meaning of torch's refusal to break a graph, if `error` is one about our hooks.

    Raises:
        RecordingError: naming the cure.
    """
    if error is None or not type(error).__module__.startswith("torch._dynamo"):
        return
    # Where torch names no reason (before 2.7) its message shows this file.
    if REASON in str(error) or __file__ in str(error):
        raise RecordingError(
            expected="a compiled model to go around the hooks that record it",
            found="torch.compile(..., fullgraph=True), which forbids that",
            todo="Compile without fullgraph=True while recording.",
        ) from error
