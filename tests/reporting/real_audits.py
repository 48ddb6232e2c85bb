"""Audits of real files of each kind, made by the command's own function, and the reports that they write."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

import gwa_attrib as gwa

DRAW = 7
"""Of the wrong labels."""


def digits(folder: Path) -> Path:
    """Built-in pictures with 10 % of the labels flipped."""
    return Path(gwa.audit("digits", folder / "run", flip=0.1, budget="fast", epochs=6).report)


def pictures(folder: Path) -> Path:
    """A folder of class folders with JPEGs of several sizes, some of them in the wrong folder, one damaged."""
    from PIL import Image, ImageDraw

    draw = np.random.default_rng(DRAW)
    shapes = {"discs": "ellipse", "boxes & <bars>": "rectangle", "crosses": "line"}
    for number in range(150):
        name = list(shapes)[number % 3]
        place = list(shapes)[(number + 1) % 3] if number < 12 else name
        size = (120, 90) if number % 2 else (90, 100)
        picture = Image.new("RGB", size, tuple(draw.integers(0, 80, 3).tolist()))
        pen, (x, y) = ImageDraw.Draw(picture), draw.integers(10, 40, 2).tolist()
        colour = tuple(draw.integers(140, 256, 3).tolist())
        if shapes[name] == "line":
            pen.line((x, y, x + 40, y + 40), colour, 9)
            pen.line((x + 40, y, x, y + 40), colour, 9)
        else:
            getattr(pen, shapes[name])((x, y, x + 40, y + 40), fill=colour)
        (folder / "photos" / place).mkdir(parents=True, exist_ok=True)
        picture.save(folder / "photos" / place / f"{number:03}.jpg")
    (folder / "photos" / "discs" / "cut.jpg").write_bytes((folder / "photos" / "discs" / "012.jpg").read_bytes()[:300])
    return Path(gwa.audit(folder / "photos", folder / "run", budget="fast", epochs=8).report)


def texts(folder: Path) -> Path:
    """A CSV of texts, some of them long."""
    draw = np.random.default_rng(DRAW)
    words = {"sport": ("match", "goal", "team", "coach"), "money": ("bank", "shares", "profit", "loan")}
    rows = []
    for number in range(160):
        label = list(words)[number % 2]
        said = " ".join(draw.choice(words[label], 200 if number % 5 == 0 else 9))
        rows.append((f"<i>{number}</i> {said}", list(words)[(number + 1) % 2] if number < 14 else label))
    pd.DataFrame(rows, columns=["text", "label"]).to_csv(folder / "texts.csv", index=False)
    return Path(gwa.audit(folder / "texts.csv", folder / "run", budget="fast", epochs=6).report)


def table(folder: Path) -> Path:
    """A CSV of numbers and categories, with gaps."""
    draw = np.random.default_rng(DRAW)
    label = np.arange(240) % 2
    frame = pd.DataFrame(
        {
            "id": np.arange(1000, 1240),
            "income": np.where(label, 52_000, 30_440) + draw.integers(0, 4000, 240),
            "age": draw.integers(18, 90, 240),
            "city": np.where(draw.random(240) < 0.85, np.where(label, "Rome", "Oslo"), "Bonn"),
            "score": np.where(draw.random(240) < 0.1, np.nan, label + draw.normal(0, 0.4, 240)),
            **{f"noise_{i}": draw.normal(size=240) for i in range(8)},
            "label": np.where(np.arange(240) < 18, 1 - label, label),
        }
    )
    frame["label"] = np.where(frame["label"] == 1, "paid", "open")
    frame.to_csv(folder / "table.csv", index=False)
    return Path(gwa.audit(folder / "table.csv", folder / "run", budget="fast", epochs=10).report)


AUDITS: dict[str, Callable[[Path], Path]] = {"digits": digits, "pictures": pictures, "texts": texts, "table": table}
