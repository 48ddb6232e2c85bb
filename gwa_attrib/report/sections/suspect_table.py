"""The table of suspects, worst first."""

from gwa_attrib.report.context import LISTED, Context
from gwa_attrib.report.section import Section
from gwa_attrib.report.wording import number, shortened, visible


def suspect_table(context: Context) -> Section:
    """At most `LISTED` rows."""
    suspects = context.suspects
    columns = zip(
        suspects.sample_ids, suspects.keys, suspects.given, suspects.proposed, suspects.label_score, strict=True
    )
    rows = [
        {
            "id": int(sample_id),
            "key": shortened(visible(key), 120),
            "given": shortened(visible(given), 60),
            "proposed": shortened(visible(proposed), 60),
            "score": number(float(score), 4),
        }
        for _, (sample_id, key, given, proposed, score) in zip(range(LISTED), columns, strict=False)
    ]
    return Section("suspect_table", "Table of suspects", {"rows": rows, "suspects": len(suspects)})
