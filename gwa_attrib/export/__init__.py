"""Results for other tools."""

from gwa_attrib.export.tables import neutralise, write_frame, write_tables

__all__ = ["neutralise", "write_frame", "write_tables"]
