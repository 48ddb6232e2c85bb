"""The figures in a real Chromium: as matplotlib drew them."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gwa_attrib.reporting.figures import figure, svg
from tests.reporting.browser import Browser, needs_chromium

pytestmark = [pytest.mark.browser, needs_chromium]


def test_figures_look_as_matplotlib_drew_them(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Moving styles to attributes and groups, renaming ids and rounding change nothing that can be seen."""
    originals: list[str] = []

    def page_svg(text: str, *rest: str) -> str:
        originals.append(text)
        return svg.page_svg(text, *rest)

    def paint(drawing: Any) -> None:
        left, right = drawing.subplots(1, 2)
        left.plot([0, 1, 2], [0, 3, 1], "o--", label="a curve")
        left.fill_between([0, 2], [1, 2], hatch="//", facecolor="none", edgecolor="red", linewidth=0)
        left.set_title("bold title", fontweight="bold")
        left.grid(axis="y")
        left.plot([0.2, 0.5, 0.8], [2.0, 3.0, 2.0], linewidth=8, color="tab:green")
        left.legend()
        right.stairs([1, 2, 3], fill=True, color="tab:blue")
        right.plot([0.5, 1.5], [1, 2], "h", markersize=12, markerfacecolor="none", markeredgecolor="k", clip_on=False)
        right.scatter([2.2, 2.5, 2.8], [0.5, 1, 1.5], c=["w", "w", "k"], s=60)
        right.set_ylabel("rotated")

    monkeypatch.setattr(figure, "page_svg", page_svg)
    cleaned = figure.draw("picture", "a title", (600, 300), paint)
    # Only the original says which font it was measured with.
    style = "body { margin: 0; font-family: 'DejaVu Sans' } svg { width: 600px; height: 300px }"
    shots = []
    for text in (originals[0][originals[0].index("<svg") :], cleaned):
        path = tmp_path / "figure.html"
        path.write_text(f"<style>{style}</style>{text}")
        browser.open(path.as_uri())
        clip = {"x": 0, "y": 0, "width": 600, "height": 300, "scale": 1}
        shot = browser.call("Page.captureScreenshot", clip=clip)["data"]
        shots.append(np.asarray(Image.open(io.BytesIO(base64.b64decode(shot))).convert("L"), dtype=int))
    assert shots[0].std() > 20
    assert np.abs(shots[0] - shots[1]).max() < 60
    assert np.abs(shots[0] - shots[1]).mean() < 0.1
