"""Importing this registers every target."""

from gwa_attrib.exporting import datalab, fiftyone, huggingface, label_studio, table_targets

__all__ = ["datalab", "fiftyone", "huggingface", "label_studio", "table_targets"]
