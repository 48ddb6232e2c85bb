"""The registry of exports: functions from a request to the files of another tool.

A new target is a function in a file of its own, imported in `gwa_attrib.exporting.every_target`::

    @exports.register("spotlight", source="renumics-spotlight 1.6")
    def to_spotlight(request: Request) -> Exported:
        '''A parquet file that spotlight.show reads.'''
"""

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from gwa_attrib._registry import Registry
from gwa_attrib.errors import MissingDependencyError

exports = Registry("export")


@dataclass(frozen=True)
class Exported:
    """The files that an export wrote."""

    to: str
    path: Path
    """The file or folder for the other tool."""
    samples: int
    """How many samples are in it."""
    also: tuple[Path, ...] = ()
    """Files that belong to it: a labeling configuration, a folder of images."""
    notes: tuple[str, ...] = ()
    """Sentences about things that could not be checked."""


def needed(package: str, extra: str) -> ModuleType:
    """An optional package, imported.

    Raises:
        MissingDependencyError: it is not installed.
    """
    from importlib import import_module
    from importlib.util import find_spec

    if find_spec(package) is None:
        raise MissingDependencyError(
            expected=f"the package {package}",
            found="it is not installed",
            todo=f"Run `pip install 'gwa-attrib[{extra}]'`.",
        )
    return import_module(package)
