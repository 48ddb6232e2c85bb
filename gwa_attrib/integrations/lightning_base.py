"""The base class of Lightning's callbacks, out of `lightning.pytorch` or `pytorch_lightning`."""

import sys
from typing import TYPE_CHECKING

from gwa_attrib.errors import MissingDependencyError


def _callback() -> type:
    """Lightning's base class, out of the package that is in use; hooks are found by name, so that one serves both."""
    names = ["lightning.pytorch", "pytorch_lightning"]
    for name in sorted(names, key=lambda name: name not in sys.modules):
        try:
            return __import__(name, fromlist=["Callback"]).Callback  # type: ignore[no-any-return]
        except ModuleNotFoundError as error:
            if error.name not in ("lightning", name):
                raise
    raise MissingDependencyError(
        expected="Lightning, to record its trainings",
        found="no package lightning or pytorch_lightning",
        todo="Run: pip install 'gwa-attrib[lightning]'.",
    )


if TYPE_CHECKING:

    class Callback:
        """Of Lightning."""
else:
    Callback = _callback()
