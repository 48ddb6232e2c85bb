"""The gallery: the worst suspects one by one, to be kept, relabelled or dropped."""

from typing import Any

import numpy as np

from gwa_attrib.report.context import Context
from gwa_attrib.report.section import Section
from gwa_attrib.report.sparkline import sparkline
from gwa_attrib.report.wording import number, shortened, visible


def gallery(context: Context) -> Section:
    """One card per suspect."""
    shown = len(context.previews)
    present = {*context.suspects.given[:shown], *context.suspects.proposed[:shown]}
    values = {
        "cards": [_card(context, i) for i in range(shown)],
        "suspects": len(context.suspects),
        "classes": [
            {"index": i, "name": shortened(visible(name), 40)}
            for i, name in enumerate(context.class_names)
            if name in present
        ],
        "has_data": context.has_data,
        "wide": any(preview.text is not None or preview.values for preview in context.previews),
        "epochs": len(context.signals.epochs),
    }
    return Section("gallery", "Gallery of suspects", values)


def _card(context: Context, i: int) -> dict[str, Any]:
    suspects, trajectories = context.suspects, context.signals.trajectories
    usual = context.column("mean")
    reach = float(np.nanmax(np.abs([*trajectories.flat, *usual, 1e-6])))
    key, given = visible(suspects.keys[i]), shortened(visible(suspects.given[i]), 60)
    return {
        "index": i,
        "id": int(suspects.sample_ids[i]),
        "key": f"sample {key}" if key.isdecimal() else key,
        "given": given,
        "proposed": shortened(visible(suspects.proposed[i]), 60),
        "score": number(float(suspects.label_score[i]), 3),
        "preview": context.previews[i],
        "spark": sparkline(trajectories[:, i], usual, reach, "alignment, first to last epoch"),
    }
