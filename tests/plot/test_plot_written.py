"""Pictures as files."""

from pathlib import Path
from xml.etree import ElementTree

import matplotlib as mpl
import pandas as pd
import pytest
from PIL import Image

import gwa_attrib as gwa
from gwa_attrib.errors import InputError, RunError
from gwa_attrib.store import Run
from tests.small_runs import blobs, record_run

OF_A_RUN = ["alignments", "trajectories", "data_map", "noise_matrix", "stopping", "label_scores"]


class Compared:
    removal = pd.DataFrame({"method": ["a", "b"], "share": 0.1, "change": 0.1, "low": 0.0, "high": 0.2})


def test_every_picture_becomes_two_files(run: Run, tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    figures = gwa.plot.write_figures(str(run.path), tmp_path / "new" / "folder", comparison=Compared())
    assert dict(mpl.rcParams) == before
    names = sorted([*OF_A_RUN, "removal_curves"])
    assert sorted(figures.written) == names
    assert figures.missing == {}
    assert figures.boxes == ()
    expected = {f"{name}.{kind}" for name in names for kind in ("svg", "png")}
    assert {path.name for path in (tmp_path / "new" / "folder").iterdir()} == expected
    for name, (svg, png) in figures.written.items():
        assert (svg.stem, png.stem) == (name, name)
        root = ElementTree.parse(svg).getroot()
        size = [float(root.attrib[side].removesuffix("pt")) for side in ("width", "height")]
        with Image.open(png) as picture:
            assert list(picture.size) == pytest.approx([2 * side for side in size], abs=1)  # 144 dots an inch
            assert picture.convert("L").getextrema()[0] < 100
            assert picture.convert("RGBA").getpixel((0, 0)) == (255, 255, 255, 255)


def test_the_same_run_gives_the_same_bytes(run: Run, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        gwa.plot.write_figures(run, tmp_path / folder)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_it_says_what_the_run_has_nothing_for_and_why(tmp_path: Path) -> None:
    x, labels = blobs(60, 3, 4)
    one = record_run(tmp_path / "one", x, labels, ["a", "b", "c"], epochs=1)
    figures = gwa.plot.write_figures(one, tmp_path / "figures")
    assert sorted(figures.missing) == ["data_map", "removal_curves"]
    assert "two epochs" in figures.missing["data_map"]
    assert "gwa.compare" in figures.missing["removal_curves"]
    assert not (tmp_path / "figures" / "data_map.svg").exists()


def test_a_run_without_suspects_to_tell_has_the_other_pictures(tmp_path: Path) -> None:
    x, labels = blobs(60, 3, 4)
    bare = record_run(tmp_path / "bare", x, labels, ["a", "b", "c"], epochs=2, signals=["loss"])
    figures = gwa.plot.write_figures(bare, tmp_path / "figures")
    assert list(figures.written) == ["stopping"]
    assert "top_prob" in figures.missing["alignments"]


def test_scores_of_ones_own_are_drawn(run: Run, tmp_path: Path) -> None:
    scores = gwa.rank(run)
    mine = gwa.Scores(scores.values, scores.sample_ids, "mine", "high", scores.columns)
    figures = gwa.plot.write_figures(run, tmp_path, scores=mine)
    assert "'mine'" in figures.missing["noise_matrix"]
    assert "label_scores" in figures.written


def test_hostile_texts_are_texts_of_the_files(hostile: Run, tmp_path: Path) -> None:
    figures = gwa.plot.write_figures(hostile, tmp_path)
    assert sorted(figures.written) == sorted(OF_A_RUN)
    everything = {}
    for name, (svg, _) in figures.written.items():
        nodes = list(ElementTree.parse(svg).getroot().iter())
        tags = {node.tag.rpartition("}")[2] for node in nodes}
        assert not tags & {"script", "img", "foreignObject", "a"}
        assert not [key for node in nodes for key in node.attrib if key.startswith("on")]
        everything[name] = {"".join(node.itertext()) for node in nodes if node.tag.endswith("}text")}
    assert r"$\frac{a}{$" in everything["noise_matrix"]
    assert any("$x$" in text for text in everything["trajectories"])


def test_a_character_that_no_font_has_is_said(tmp_path: Path) -> None:
    x, labels = blobs(60, 3, 4)
    names = ["\ue123", "\ue124", "plain"]  # for private use: no font has them
    figures = gwa.plot.write_figures(record_run(tmp_path / "run", x, labels, names, epochs=2), tmp_path)
    assert figures.boxes == ("noise_matrix",)
    assert "\ue123" in figures.written["noise_matrix"][0].read_text(encoding="utf-8")


def test_where_nothing_can_be_written(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError):
        gwa.plot.write_figures(run, tmp_path / "file")
    with pytest.raises(InputError, match="on this machine"):
        gwa.plot.write_figures(run, "s3://bucket/figures")
