"""Methods of other libraries, by name: functions from an audited model to scores."""

from importlib.util import find_spec

from gwa_attrib._registry import Registry
from gwa_attrib.errors import MissingDependencyError

baselines = Registry("baseline")


def needs(package: str) -> None:
    """Refuse where a library is not installed.

    Raises:
        MissingDependencyError: it is not.
    """
    if find_spec(package) is None:
        raise MissingDependencyError(
            expected=f"the package {package}",
            found="it is not installed",
            todo=f"Run `pip install {package}`, or `pip install 'gwa-attrib[baselines]'`.",
        )
