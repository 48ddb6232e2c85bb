"""Which parameters a library is asked about, and whether it gets them right."""

import copy
from collections.abc import Callable

import torch.nn.functional as F
from torch import nn

from gwa_attrib.attribution import Task
from gwa_attrib.attribution.task import MAPS
from gwa_attrib.auditing.audited_model import AuditedModel
from gwa_attrib.errors import InputError, LayerError

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def audited_copy(audited: AuditedModel) -> nn.Module:
    """For a library that changes the model it is given."""
    return copy.deepcopy(audited.model).eval()


def head_task(audited: AuditedModel) -> Task:
    """The audited model, its training samples, and its head."""
    return Task(audited.model, F.cross_entropy, (audited.inputs, audited.labels))


def chosen_layers(audited: AuditedModel, layers: str, allowed: tuple[str, ...]) -> list[str]:
    """Names of the modules that "head", "linear" or "all" stand for: those with parameters of their own.

    Raises:
        InputError: another word than those allowed.
        HeadError: "head", and no linear layer runs last.
    """
    if layers not in allowed:
        raise InputError(
            expected=f"layers out of: {', '.join(allowed)}", found=repr(layers), todo="Choose one of them."
        )
    if layers == "head":
        return [str(head_task(audited).head)]
    with_parameters = {
        name: module for name, module in audited.model.named_modules() if list(module.parameters(recurse=False))
    }
    if layers == "linear":
        return [name for name, module in with_parameters.items() if isinstance(module, MAPS)]
    return list(with_parameters)


def refuse_unless(right: Callable[[nn.Module], bool], audited: AuditedModel, names: list[str], defect: str) -> None:
    """Refuse layers of which a library would give other values than it promises.

    Raises:
        LayerError: there is one.
    """
    modules = dict(audited.model.named_modules())
    wrong = [name for name in names if not right(modules[name])]
    if wrong:
        raise LayerError(
            expected=f"layers that the library measures rightly: {defect}",
            found=f"{', '.join(f'{name} ({type(modules[name]).__name__})' for name in wrong[:3])}"
            + (f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""),
            todo="Ask for the head alone, or for our own method of the same name.",
        )
