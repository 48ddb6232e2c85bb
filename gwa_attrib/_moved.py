"""Former names of modules that the documentation told people to import; they lead to the present ones and warn."""

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED = {
    "gwa_attrib.audited_model": "gwa_attrib.auditing.audited_model",
    "gwa_attrib.baselines": "gwa_attrib.comparison.libraries",
    "gwa_attrib.evaluation.mislabels": "gwa_attrib.evaluation.metrics",
    "gwa_attrib.training": "gwa_attrib.auditing.training",
}


class _Present(Loader):
    """A loader that gives the module where it is now, and not a second copy of it: classes must stay the same."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        warnings.warn(f"{spec.name} is now {MOVED[spec.name]}", DeprecationWarning, stacklevel=2)
        module = import_module(MOVED[spec.name])
        # The import system writes the former name into these; they are put back when the module is "executed".
        spec.loader_state = (module.__spec__, module.__loader__, module.__package__)
        return module

    def exec_module(self, module: ModuleType) -> None:
        found = module.__spec__
        if found is not None and found.loader_state is not None:
            module.__spec__, module.__loader__, module.__package__ = found.loader_state


class _Finder(MetaPathFinder):
    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:  # noqa: ARG002
        return ModuleSpec(name, _Present()) if name in MOVED else None


def lead_on() -> None:
    """Make imports by a former name find the present module."""
    # The last in line: only what nobody else finds gets here, so that other imports cost nothing.
    sys.meta_path.append(_Finder())
