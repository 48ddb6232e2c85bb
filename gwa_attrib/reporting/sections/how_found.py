"""Methods, thresholds and limits in plain words."""

from gwa_attrib.analyses.epoch_weights import POWER
from gwa_attrib.analyses.mislabeled import SURE
from gwa_attrib.functional.gwa_moments import RELIABLE_ABOVE
from gwa_attrib.reporting.context import Context
from gwa_attrib.reporting.section import Section
from gwa_attrib.reporting.wording import number, visible
from gwa_attrib.thresholds import COUNT_ERRORS


def section(context: Context) -> Section:
    """Text; the numbers in it come from the code."""
    values = {
        "method": visible(context.suspects.method),
        "reliable_above": number(RELIABLE_ABOVE, 1),
        "power": f"{POWER:g}",
        "sure": f"{SURE:g}",
        "errors": f"{COUNT_ERRORS:g}",
    }
    return Section("methods", "Methods, thresholds and limits", values)
