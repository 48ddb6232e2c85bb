"""The table of suspects, worst first: all that can be decided on."""

from gwa_attrib.reporting.context import Context
from gwa_attrib.reporting.section import Section


def section(context: Context) -> Section | None:
    """A frame for the rows, which the script makes a page at a time."""
    if not len(context.suspects):
        return None
    return Section(
        "suspect_table",
        "Table of suspects",
        {"listed": context.listed, "suspects": len(context.suspects)},
        short="Table",
    )
