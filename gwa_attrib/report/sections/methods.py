"""Methods, thresholds and limits in plain words."""

from gwa_attrib.analyses.consensus import POWER
from gwa_attrib.analyses.error_count import ERRORS, EVEN, STRICT
from gwa_attrib.analyses.mislabeled import SHRINKAGE
from gwa_attrib.functional.central_moments import RELIABLE_ABOVE
from gwa_attrib.report.context import Context
from gwa_attrib.report.section import Section
from gwa_attrib.report.wording import number, visible


def methods(context: Context) -> Section:
    """Text; the numbers in it come from the code."""
    values = {
        "method": visible(context.suspects.method),
        "reliable_above": number(RELIABLE_ABOVE, 1),
        "power": f"{POWER:g}",
        "shrinkage": f"{SHRINKAGE:g}",
        "even": f"{EVEN:g}",
        "even_score": number(1 / (1 + EVEN), 2),
        "strict": f"{STRICT:g}",
        "errors": f"{ERRORS:g}",
    }
    return Section("methods", "Methods, thresholds and limits", values)
