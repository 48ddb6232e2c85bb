"""The gallery: the suspects one by one, to be kept, relabelled or dropped."""

from gwa_attrib.reporting.context import Context
from gwa_attrib.reporting.section import Section
from gwa_attrib.reporting.suspects.cards import CLASS_NAME, first_cards
from gwa_attrib.reporting.suspects.previews import Preview
from gwa_attrib.reporting.wording import shortened, visible

BLANK = {
    "index": -1,
    "id": "blank",
    "key": "",
    "given": "",
    "proposed": "",
    "score": "",
    "preview": Preview(missing=""),
    "doubtful": True,
}
"""Data that the script makes further cards from."""


def section(context: Context) -> Section | None:
    """One card per suspect; the first of them at once, the others when they are asked for."""
    if not len(context.suspects):
        return None
    present = {*context.suspects.given[: context.listed], *context.suspects.proposed[: context.listed]}
    cards = first_cards(context)
    values = {
        "cards": cards,
        "blank": BLANK,
        "suspects": len(context.suspects),
        "listed": context.listed,
        "doubtful": int(context.suspects.doubtful.sum()),
        "classes": [
            {"index": i, "name": shortened(visible(name), CLASS_NAME)}
            for i, name in enumerate(context.class_names)
            if name in present
        ],
        "has_data": context.data is not None,
        "wide": any(preview.text is not None for preview in context.previews),
        "rows": any(preview.values for preview in context.previews),
    }
    return Section("gallery", "Suspects", values)
