"""Methods of other libraries, by name: functions from an audited model to scores."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from importlib.util import find_spec

from gwa_attrib._registry import Registry
from gwa_attrib.errors import MissingDependencyError

baselines = Registry("baseline")
EXTRA = "pip install 'gwa-attrib[baselines]'"
"""Installs all of them but kronfluence, whose package asks for torchvision without using it."""


def needs(package: str, install: str) -> None:
    """Refuse where a library is not installed; `install` is the command that does.

    Raises:
        MissingDependencyError: it is not.
    """
    if find_spec(package) is None:
        raise MissingDependencyError(
            expected=f"the package {package}",
            found="it is not installed",
            todo=f"Run `{install}`.",
        )


@contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings and the progress bars of a library, which also show where there is no terminal."""
    with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
