"""Text of a data set as people may safely see it, for what lies below the report: pictures and notebooks."""

import re

_UNSEEN = re.compile(
    "[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


def visible(text: object) -> str:
    """Text in which nothing hides: control, direction-changing and unpaired characters are shown by their number.

    >>> visible("a\\u202eb\\x00c"), visible("naïve 数 🙂")
    ('a[U+202E]b[U+0000]c', 'naïve 数 🙂')
    """
    return _UNSEEN.sub(lambda match: f"[U+{ord(match[0]):04X}]", str(text))


def legible(text: object, most: int) -> str:
    """Visible text of at most `most` characters, the last of which says that there are more.

    >>> legible("a\\nb", 20), legible("heron", 4)
    ('a[U+000A]b', 'her…')
    """
    whole = visible(str(text)[: most + 1])  # every character becomes at least one: what is cut here is cut anyway
    return whole if len(whole) <= most else whole[: most - 1].rstrip() + "…"
