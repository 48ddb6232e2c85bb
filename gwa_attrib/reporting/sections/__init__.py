"""The sections of the report, in their order. Each module's `section` makes a `Section` of the context, or None where
there is nothing to show."""

from collections.abc import Callable

from gwa_attrib.reporting.context import Context
from gwa_attrib.reporting.section import Section
from gwa_attrib.reporting.sections import (
    alignments,
    classes,
    cleaning_gain,
    data_map,
    gallery,
    generalisation,
    groups,
    harmful,
    how_found,
    influential,
    layers,
    recorded,
    suspect_table,
    verdict,
)

Maker = Callable[[Context], Section | None]

SECTIONS: tuple[Maker, ...] = (
    verdict.section,
    gallery.section,
    cleaning_gain.section,
    classes.section,
    harmful.section,
    groups.section,
    suspect_table.section,
)
"""Sections that the one who cleans needs, the most urgent first."""
BACKGROUND: tuple[Maker, ...] = (
    alignments.section,
    generalisation.section,
    data_map.section,
    layers.section,
    influential.section,
    recorded.section,
    how_found.section,
)
"""How the training went and how the suspects were found, folded."""

__all__ = ["BACKGROUND", "SECTIONS"]
