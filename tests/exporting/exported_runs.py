"""Runs to export: of an image folder, a text table, a numeric table and arrays, each as an audit leaves it."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gwa_attrib.datasets import load
from gwa_attrib.store import Run
from tests.small_runs import blobs, record_run

HOSTILE = [
    '"/><Choice value="injected"/>',
    "<script>alert(1)</script> & ]]> &amp;",
    "line\nbreak",
    "line\\nbreak",
    "$image",
    "  $image ",
    "drop / unclear",
    "",
    "=1+1",
    "naïve 数 \x00\x1b\u202e",
    'name="sample" toName="x"',
]
SAMPLES, FLIPPED = 60, 8


def run_of(folder: Path, names: list[str], *, flipped: int = FLIPPED, **recording: Any) -> Run:
    """A recorded run with planted label errors."""
    x, labels = blobs(max(SAMPLES, 6 * len(names)), len(names), flipped)
    return record_run(folder / "run", x, labels, names, **recording)


def audited(folder: Path, source: Path, **config: Any) -> Run:
    """A run of the samples in a source, which `read_again` finds."""
    data = load(source)
    x, _ = blobs(len(data), len(data.class_names), 0)
    labels = np.asarray(data.labels)
    settings = {"data": data.source, "label_column": None, "limit": None, "truth": None}
    config = {**settings, "fingerprint": data.fingerprint(), **config}
    return record_run(folder / "run", x, _tensor(labels), data.class_names, keys=list(data.keys), config=config)


def _tensor(labels: np.ndarray) -> Any:
    import torch

    return torch.from_numpy(labels.astype(np.int64))


def image_folder(folder: Path, names: list[str]) -> Path:
    """Ten pictures a class, one in the wrong folder, with names that addresses have to escape."""
    from PIL import Image

    generator = np.random.default_rng(0)
    for number, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for i in range(10):
            pixels = generator.integers(0, 255, (6, 5, 3), dtype=np.uint8)
            pixels[..., 0] = 40 * number
            Image.fromarray(pixels).save(folder / name / f"a {i}#&?%.png")
    return folder


def arrays(path: Path) -> Path:
    generator = np.random.default_rng(1)
    np.savez(path, X=generator.integers(0, 255, (40, 6, 5), dtype=np.uint8), y=np.arange(40) % 3)
    return path


def texts(path: Path) -> Path:
    words = ['<b>bold</b> & "quoted"', "=SUM(A1)", "http://example.com/x", "line\nbreak", "$text"]
    pd.DataFrame(
        {"text": [f"{words[i % 5]} number {i} and some more words" for i in range(40)], "label": ["no", "yes"] * 20}
    ).to_csv(path, index=False)
    return path


def table(path: Path) -> Path:
    generator = np.random.default_rng(2)
    frame = pd.DataFrame({"<height>": generator.normal(size=40), "sex": ["=f()", "m"] * 20, "label": ["a", "b"] * 20})
    frame.loc[3, "<height>"] = np.nan
    frame.to_csv(path, index=False)
    return path
