"""Hooks on a model that `torch.compile` runs: they stay as they stand, and nothing of them is traced."""

from collections.abc import Callable
from typing import Any

import torch

from gwa_attrib.errors import RecordingError
from gwa_attrib.hooks import hook

REASON = "gwa_attrib records here, which cannot be compiled: compile without fullgraph=True"


def untraced(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, around which a compiled model breaks its graph."""
    try:
        result: Callable[..., Any] = torch.compiler.disable(function, reason=REASON)  # type: ignore[no-untyped-call]
    except TypeError:  # torch before 2.7 takes no reason
        result = torch.compiler.disable(function)  # type: ignore[no-untyped-call]
    return result


def explain_full_graph(error: BaseException | None) -> None:
    """Raise what torch's refusal to break a graph means, if `error` is one about our hooks.

    Raises:
        RecordingError: naming the cure.
    """
    if error is None or not type(error).__module__.startswith("torch._dynamo"):
        return
    if REASON in str(error) or hook.__file__ in str(error):
        raise RecordingError(
            expected="a compiled model to go around the hooks that record it",
            found="torch.compile(..., fullgraph=True), which forbids that",
            todo="Compile without fullgraph=True while recording.",
        ) from error
