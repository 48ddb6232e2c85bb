"""Frames of any engine as pandas; engines that are not installed skip with the reason."""

import importlib.util
import os
import shutil
from typing import Any

import narwhals as nw
import pandas as pd
import pytest

from gwa_attrib.store.queries import ENGINES as ALL

PACKAGE = {"dask": "dask", "pyspark": "pyspark"}


def _missing(engine: str) -> str:
    package = PACKAGE.get(engine)
    if package is not None and importlib.util.find_spec(package) is None:
        return f"{package} is not installed"
    return "no java" if engine == "pyspark" and shutil.which("java") is None and "JAVA_HOME" not in os.environ else ""


NOT_OURS = {
    # Dask is not written for this pandas yet; the package that is to take it over from narwhals is not published.
    "dask": ("ignore:Dask support is moving:FutureWarning", "ignore:The inplace keyword"),
    "pyspark": ("ignore:PySpark does not yet:FutureWarning", "ignore::ResourceWarning", "ignore::DeprecationWarning"),
}
"""Warnings of engines about their own needs; what they read is compared with the other engines."""


def _marks(engine: str) -> list[pytest.MarkDecorator]:
    quiet = [pytest.mark.filterwarnings(rule) for rule in NOT_OURS.get(engine, ())]
    slow = [pytest.mark.slow] if engine == "pyspark" else []
    return [*quiet, *slow, pytest.mark.skipif(bool(_missing(engine)), reason=_missing(engine))]


ENGINES = [pytest.param(engine, marks=_marks(engine)) for engine in ALL]


def collected(frame: Any) -> pd.DataFrame:
    """A narwhals frame, lazy or not, as pandas."""
    whole = frame.collect() if isinstance(frame, nw.LazyFrame) else frame
    return whole.to_pandas()
