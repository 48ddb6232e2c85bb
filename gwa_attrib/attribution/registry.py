"""Attributors, by name: functions from a task to what answers for pairs of samples and for samples alone."""

from collections.abc import Callable
from inspect import Parameter, signature
from typing import Protocol

from torch import Tensor

from gwa_attrib._registry import Registry

attributors = Registry("attributor")


class Attributor(Protocol):
    """A method that has been fitted to a task.

    All products have one direction: positive where training on the sample lowers the loss of the query.
    """

    def pairs(self, query: object) -> Tensor:
        """Return the values ``[train, query]``; negative is harmful."""
        ...

    def self_influence(self) -> Tensor:
        """Return the value of each pair (sample, sample), ``[train]``; high is suspicious."""
        ...


Fit = Callable[..., Attributor]


def options_of(fit: Callable[..., object]) -> tuple[str, ...]:
    """List the options that a registered attributor takes."""
    parameters = signature(fit).parameters.values()
    return tuple(p.name for p in parameters if p.kind is Parameter.KEYWORD_ONLY)
