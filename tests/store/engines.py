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


ENGINES = [
    pytest.param(engine, marks=[pytest.mark.skipif(bool(_missing(engine)), reason=_missing(engine))]) for engine in ALL
]


def collected(frame: Any) -> pd.DataFrame:
    """A narwhals frame, lazy or not, as pandas."""
    whole = frame.collect() if isinstance(frame, nw.LazyFrame) else frame
    return whole.to_pandas()
