"""The sections of the report, in their order. Each file has one function from the context to a `Section`."""

from collections.abc import Callable

from gwa_attrib.report.context import Context
from gwa_attrib.report.section import Section
from gwa_attrib.report.sections.alignments import alignments
from gwa_attrib.report.sections.cautions import cautions
from gwa_attrib.report.sections.class_pairs import class_pairs
from gwa_attrib.report.sections.cleaning import cleaning
from gwa_attrib.report.sections.data_map import data_map
from gwa_attrib.report.sections.gallery import gallery
from gwa_attrib.report.sections.generalisation import generalisation
from gwa_attrib.report.sections.groups import groups
from gwa_attrib.report.sections.harmful import harmful
from gwa_attrib.report.sections.influential import influential
from gwa_attrib.report.sections.layers import layers
from gwa_attrib.report.sections.methods import methods
from gwa_attrib.report.sections.recorded import recorded
from gwa_attrib.report.sections.summary import summary
from gwa_attrib.report.sections.suspect_table import suspect_table

SECTIONS: tuple[Callable[[Context], Section], ...] = (
    recorded,
    cautions,
    summary,
    alignments,
    generalisation,
    layers,
    data_map,
    class_pairs,
    gallery,
    suspect_table,
    harmful,
    groups,
    influential,
    cleaning,
    methods,
)

__all__ = ["SECTIONS"]
