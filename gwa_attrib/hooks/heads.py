"""The layers of a model that may be its classification head: those that are there, and those that ran."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import nn
from torch.utils.hooks import RemovableHandle

from gwa_attrib.errors import HeadError


def candidates(model: nn.Module, head: str | nn.Module | None) -> dict[str, nn.Linear]:
    """Find the layers that may be the head, by name: the one that was asked for, or every linear layer.

    Raises:
        HeadError: there is none, or it is not linear.
    """
    # A head that is asked for may go by any of its names; one that is searched for has one name.
    modules: Mapping[str, nn.Module] = dict(model.named_modules(remove_duplicate=head is None))
    linear = {name: module for name, module in modules.items() if isinstance(module, nn.Linear)}
    listed = ", ".join(name or "(the model itself)" for name in linear) or "none"
    if head is None:
        chosen: dict[str, nn.Module] = dict(linear)
        what = "no linear layer in the model"
    else:
        chosen = {n: m for n, m in modules.items() if (n == head if isinstance(head, str) else m is head)}
        what = f"no module {head!r} in the model" if isinstance(head, str) else "a module that is not in the model"
    if not chosen:
        raise HeadError(
            expected="a model with a linear classification head",
            found=what,
            todo=f"Name the final nn.Linear with head=...; linear layers of this model: {listed}.",
        )
    for name, module in chosen.items():
        if not isinstance(module, nn.Linear):
            raise HeadError(
                expected="the head to be an nn.Linear",
                found=f"{name!r} is a {type(module).__name__}",
                todo=f"Name the final nn.Linear with head=...; linear layers of this model: {listed}.",
            )
    return {name: module for name, module in chosen.items() if isinstance(module, nn.Linear)}


@contextmanager
def linear_layers_run(model: nn.Module) -> Iterator[list[str]]:
    """List the names of the linear layers that run inside the block, in the order in which they do."""
    ran: list[str] = []
    handles: list[RemovableHandle] = []
    has_linear = any(isinstance(module, nn.Linear) for module in model.modules())
    for name, module in (candidates(model, None) if has_linear else {}).items():
        handles.append(module.register_forward_hook(lambda *_, name=name: ran.append(name)))
    try:
        yield ran
    finally:
        for handle in handles:
            handle.remove()
