"""Fixtures of the tests of the readers. No package here: a folder `datasets` on the path would hide another library."""

import numpy as np
import pytest


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
