"""The cards of the gallery: the first ones whole, the others as facts that the page makes them from."""

from collections.abc import Mapping, Sequence

import numpy as np

from gwa_attrib.display.progress import bar
from gwa_attrib.reporting.context import GALLERY, Context
from gwa_attrib.reporting.figures.sparkline import draw_sparkline, track
from gwa_attrib.reporting.suspects.previews import CHARACTERS, Preview, column_name, reduced, text_of, value_text
from gwa_attrib.reporting.suspects.sheets import ACROSS, PER_SHEET, contact_sheets, held_side
from gwa_attrib.reporting.wording import number, shortened, visible

TEXTS = 1_200_000
"""Characters of all texts, and of all values, of the cards that are made later."""
COLUMNS = 6
"""Values of a row on such a card."""
CLASS_NAME = 60


def first_cards(context: Context) -> list[dict[str, object]]:
    """Values for the template of a card, for each of the first suspects."""
    return [_card(context, i, preview) for i, preview in enumerate(context.previews)]


def _card(context: Context, i: int, preview: Preview) -> dict[str, object]:
    suspects = context.suspects
    return {
        "index": i,
        "id": int(suspects.sample_ids[i]),
        "key": key_of(context, i),
        "given": class_name(suspects.given[i]),
        "proposed": class_name(suspects.proposed[i]),
        "score": number(float(suspects.label_score[i]), 3),
        "preview": preview,
        "doubtful": bool(suspects.doubtful[i]),
        "spark": draw_sparkline(context.signals.trajectories[:, i], context.usual, context.reach, SPARK),
    }


SPARK = "alignment, first to last epoch"


def key_of(context: Context, i: int) -> str:
    """The name of a suspect's sample, for people."""
    key, given = context.suspects.keys[i], context.suspects.given[i]
    if key == str(context.suspects.sample_ids[i]):
        return f"sample {key}"
    # The folder of a picture is its given label, which the card names anyway: the file is what tells them apart.
    return visible(key.removeprefix(f"{given}/") if len(key) > len(given) + 1 else key)


def class_name(name: str) -> str:
    """A class's name, short enough for a card."""
    return shortened(visible(name), CLASS_NAME)


def later_cards(context: Context) -> dict[str, object]:
    """Facts of the suspects behind the first: tracks, pictures on contact sheets, texts, values."""
    first, count = min(GALLERY, context.listed), context.listed
    tracks = [track(context.signals.trajectories[:, i], context.reach) for i in range(first, count)]
    facts = {"first": first, "usual": track(context.usual, context.reach), "tracks": tracks}
    nothing = {"files": [], "sizes": [], "side": 0, "across": ACROSS, "per": PER_SHEET}
    facts |= {"sheets": nothing, "texts": None, "rows": None, "columns": [], "missing": None}
    if count == first or context.data is None:
        return facts | {"missing": ["no data given"] * (count - first)}
    return facts | _contents(context, first, count)


def _contents(context: Context, first: int, count: int) -> dict[str, object]:
    side = held_side(count - first)
    pictures, texts, rows, missing = [], [], [], []
    for i in bar(range(first, count), "reading suspects", unit="sample"):
        content = context.content(i)
        order = None if context.column_orders is None else context.column_orders[i]
        pictures.append(None if content.picture is None else reduced(content.picture, side))
        texts.append(content.text)
        rows.append(None if content.values is None else _values(content.values, order))
        missing.append(visible(content.missing) if content.missing else None)
    sheets = contact_sheets(pictures)
    found = {"files": sheets.files, "sizes": sheets.sizes, "side": sheets.side, "across": ACROSS, "per": PER_SHEET}
    columns, indexed = _indexed(rows)
    return {
        "sheets": found,
        "texts": _fitting(texts) if any(text is not None for text in texts) else None,
        "rows": indexed if any(indexed) else None,
        "columns": columns,
        "missing": missing if any(missing) else None,
    }


def _values(values: Mapping[str, object], order: Sequence[str] | None) -> list[tuple[str, str]]:
    """The first few of a row, and how many more there are."""
    names = [name for name in (order or values) if name in values][:COLUMNS]
    pairs = [(name, value_text(values[name])) for name in names]
    more = len(values) - len(names)
    return [*pairs, ("…", f"{more:,} more")] if more else pairs


def _indexed(rows: list[list[tuple[str, str]] | None]) -> tuple[list[str], list[list[tuple[int, str]] | None]]:
    """Column names once, and each row by their numbers; the last rows are left out where all are too many."""
    number: dict[str, int] = {}
    room = TEXTS
    indexed: list[list[tuple[int, str]] | None] = []
    for row in rows:
        room -= sum(len(value) + 8 for _, value in row or ())
        keep = row is not None and room > 0
        indexed.append([(number.setdefault(name, len(number)), value) for name, value in row or ()] if keep else None)
    return [column_name(name) for name in number], indexed


def _fitting(texts: list[str | None]) -> list[str | None]:
    """Texts cut at the length at which all of them fit into `TEXTS` characters."""
    lengths = np.sort([len(text) for text in texts if text is not None])
    most = CHARACTERS
    if lengths.clip(max=most).sum() > TEXTS:
        # All texts up to a length, and so much of each longer one: the first length at which that is too much.
        total = np.concatenate([[0], np.cumsum(lengths)[:-1]]) + lengths * np.arange(len(lengths), 0, -1)
        at = int(np.searchsorted(total, TEXTS))
        shorter = int(lengths[:at].sum())
        most = min(most, (TEXTS - shorter) // (len(lengths) - at))
    return [None if text is None else text_of(text, most) for text in texts]
