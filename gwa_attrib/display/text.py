"""Text as people may safely see it: on a terminal, in a picture, in a notebook; and times in words.

Without numpy, so that an error of the command line costs nothing.
"""

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


def storable(text: str) -> str:
    """The text, with what no file in UTF-8 can hold (lone surrogates: undecodable bytes of a file name) escaped."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def printable(text: str) -> str:
    """One line that is safe to print: control characters, among them line ends and terminal codes, escaped."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def duration(seconds: float) -> str:
    """A time for people.

    >>> duration(41.2), duration(61), duration(659), duration(7300)
    ('41 seconds', '1 minute', '11 minutes', '2 hours 2 minutes')
    """
    if seconds < 59.5:
        return _count(max(1, round(seconds)), "second")
    hours, minutes = divmod(max(1, round(seconds / 60)), 60)
    return " ".join(_count(n, unit) for n, unit in ((hours, "hour"), (minutes, "minute")) if n)


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"
