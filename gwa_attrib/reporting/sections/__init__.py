"""The sections of the report, in their order. Each file has one function from the context to a `Section`, or to None
where there is nothing to show."""

from collections.abc import Callable

from gwa_attrib.reporting.context import Context
from gwa_attrib.reporting.section import Section
from gwa_attrib.reporting.sections.alignments import alignments
from gwa_attrib.reporting.sections.classes import classes
from gwa_attrib.reporting.sections.cleaning_gain import cleaning
from gwa_attrib.reporting.sections.data_map import data_map
from gwa_attrib.reporting.sections.gallery import gallery
from gwa_attrib.reporting.sections.generalisation import generalisation
from gwa_attrib.reporting.sections.groups import groups
from gwa_attrib.reporting.sections.harmful import harmful
from gwa_attrib.reporting.sections.influential import influential
from gwa_attrib.reporting.sections.layers import layers
from gwa_attrib.reporting.sections.methods import methods
from gwa_attrib.reporting.sections.recorded import recorded
from gwa_attrib.reporting.sections.suspect_table import suspect_table
from gwa_attrib.reporting.sections.verdict import verdict

Maker = Callable[[Context], Section | None]

SECTIONS: tuple[Maker, ...] = (verdict, gallery, cleaning, classes, harmful, groups, suspect_table)
"""What the one who cleans needs, the most urgent first."""
BACKGROUND: tuple[Maker, ...] = (alignments, generalisation, data_map, layers, influential, recorded, methods)
"""How the training went and how the suspects were found, folded."""

__all__ = ["BACKGROUND", "SECTIONS"]
