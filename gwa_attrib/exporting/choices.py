"""What an annotator chooses from in Label Studio: a text for each class, and one for none of them."""

from collections.abc import Sequence
from itertools import count

from gwa_attrib.datasets.messages import printable, shown
from gwa_attrib.errors import InputError

DROP = "drop / unclear"
"""The choice for a sample that should leave the data set."""


def choice_texts(class_names: Sequence[str]) -> tuple[str, ...]:
    """A text for each class that survives XML, a browser and Label Studio, and that no other class has.

    Plain names stay as they are. Otherwise control characters are escaped, outer spaces are cut, and a dollar sign,
    with which Label Studio begins the name of a column of the task, is written in full width. Names that are alike
    after this get a number, in the order of the classes, so that the same names always give the same texts.

    Raises:
        InputError: two classes have the same name.
    """
    if len(set(class_names)) < len(class_names):
        twice = next(name for name in class_names if list(class_names).count(name) > 1)
        raise InputError(
            expected="class names that differ", found=f"{shown(twice)} twice", todo="Record the run with other names."
        )
    texts = [_shown(name) for name in class_names]
    own = {name for name, text in zip(class_names, texts, strict=True) if name == text != DROP}
    taken = {DROP, *own}
    for i, (name, text) in enumerate(zip(class_names, texts, strict=True)):
        if name not in own:
            free = (f"{text} ({number})" for number in count(2))
            texts[i] = text if text not in taken else next(other for other in free if other not in taken)
            taken.add(texts[i])
    return tuple(texts)


def _shown(name: str) -> str:
    return printable(name).strip().replace("$", "＄") or "(empty)"
