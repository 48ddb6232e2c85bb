"""Cleaned copies, one file for each kind of source."""

import gwa_attrib.cleaning.copies.arrays
import gwa_attrib.cleaning.copies.csv_and_parquet
import gwa_attrib.cleaning.copies.image_folder  # noqa: F401  (importing a writer registers it)
from gwa_attrib.cleaning.copies.registry import Copied, Source, copies

__all__ = ["Copied", "Source", "copies"]
