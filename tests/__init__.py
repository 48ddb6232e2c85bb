"""Tests, in folders that mirror the package's. Helpers are modules whose names do not begin with ``test_``."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
