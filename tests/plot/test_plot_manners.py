"""How pictures behave in somebody's program: axes, pyplot, settings, hostile texts, runs with little in them."""

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import gwa_attrib as gwa
from gwa_attrib.display.text import legible, visible
from gwa_attrib.errors import InputError, NotRecordedError, RunFormatError
from gwa_attrib.plot import canvas
from gwa_attrib.reporting import wording
from gwa_attrib.store import Run
from tests.reporting.hostile import EVIL
from tests.small_runs import blobs, record_run

REMOVAL = pd.DataFrame({"method": [*EVIL, "_hidden"], "share": 0.1, "change": 0.1, "low": 0.0, "high": 0.2})
PICTURES: dict[str, Callable[..., Axes]] = {
    "alignments": gwa.plot.alignments,
    "trajectories": lambda run, **ax: gwa.plot.trajectories(run, [0, 1, 2, 3, 4, 5, 6], **ax),
    "data_map": gwa.plot.data_map,
    "noise_matrix": gwa.plot.noise_matrix,
    "stopping": gwa.plot.stopping,
    "removal_curves": lambda run, **ax: gwa.plot.removal_curves(REMOVAL, **ax),
    "label_scores": gwa.plot.label_scores,
}
each_picture = pytest.mark.parametrize("name", list(PICTURES))


def texts(figure: Figure) -> list[str]:
    """Every text as it is drawn: as the text of an SVG, in which mathematics would be in pieces."""
    file = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none"}):
        figure.savefig(file, format="svg")
    nodes = ElementTree.fromstring(file.getvalue()).iter("{http://www.w3.org/2000/svg}text")
    return ["".join(node.itertext()) for node in nodes]


def test_every_picture_is_listed_here() -> None:
    assert {*PICTURES, "Figures", "write_figures"} == set(gwa.plot.__all__)


@each_picture
def test_global_settings_are_left_alone(hostile: Run, name: str, ax: Axes) -> None:
    before = dict(mpl.rcParams)
    PICTURES[name](hostile, ax=ax)
    ax.figure.canvas.draw()
    assert dict(mpl.rcParams) == before


@each_picture
def test_without_axes_pyplot_has_the_new_figure(run: Run, name: str) -> None:
    before, settings = plt.get_fignums(), dict(mpl.rcParams)
    try:
        drawn = PICTURES[name](run)
        (number,) = set(plt.get_fignums()) - set(before)
        assert plt.figure(number) is drawn.figure
        assert dict(mpl.rcParams) == settings
    finally:
        plt.close("all")


@each_picture
def test_pictures_can_be_read_in_the_users_dark_style(run: Run, name: str) -> None:
    with mpl.style.context("dark_background"):
        try:
            drawn = PICTURES[name](run)
            white = mpl.colors.to_rgba("white")
            assert drawn.figure.get_facecolor() == drawn.get_facecolor() == white
            words = [*drawn.get_xticklabels(), drawn.xaxis.label, drawn.title]
            words += drawn.get_legend().get_texts() if drawn.get_legend() else []
            assert white not in [mpl.colors.to_rgba(text.get_color()) for text in words]
        finally:
            plt.close("all")


def test_with_axes_pyplot_is_not_imported(run: Run) -> None:
    code = f"""
import json, sys
import gwa_attrib as gwa
first = [name in sys.modules for name in ("matplotlib", "gwa_attrib.plot")]
gwa.plot
second = "matplotlib" in sys.modules
from matplotlib.figure import Figure
import numpy as np, pandas as pd
run = gwa.open_run({str(run.path)!r})
one, *others = [Figure().subplots() for _ in range(7)]
removal = pd.DataFrame({{"method": ["a"], "share": 0.1, "change": 0.1, "low": 0.0, "high": 0.2}})
gwa.plot.trajectories(run, [1], ax=one)
gwa.plot.removal_curves(removal, ax=others.pop())
for name in ("alignments", "data_map", "noise_matrix", "stopping", "label_scores"):
    getattr(gwa.plot, name)(run, ax=others.pop())
print(json.dumps([first, second, "matplotlib.pyplot" in sys.modules]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[False, False], False, False]


@pytest.mark.parametrize("mathematics", [True, False])
def test_class_names_are_drawn_as_they_are(hostile: Run, ax: Axes, mathematics: bool) -> None:
    with mpl.rc_context({"text.parse_math": mathematics}):
        gwa.plot.noise_matrix(hostile, ax=ax)
        drawn = texts(ax.figure)
    for name in EVIL:
        assert drawn.count(legible(name, 24)) == 2
    assert legible("$x$", 24) == "$x$"


@pytest.mark.parametrize("mathematics", [True, False])
def test_keys_and_methods_are_drawn_as_they_are_in_legends_also_of_the_user(
    hostile: Run, ax: Axes, mathematics: bool
) -> None:
    keys = hostile.samples["key"].tolist()
    with mpl.rc_context({"text.parse_math": mathematics}):
        PICTURES["trajectories"](hostile, ax=ax)
        ours = texts(ax.figure)
        ax.legend(loc="lower left")
        yours = texts(ax.figure)
        gwa.plot.removal_curves(REMOVAL, ax=(other := Figure().subplots()))
        methods = texts(other.figure)
    for i in range(7):
        label = legible(f"sample {i}: {keys[i]}", 40)
        assert label in ours
        assert label in yours
    assert {legible(name, 40) for name in EVIL} < set(methods)
    assert " _hidden" in methods


def test_a_dollar_that_is_escaped_already_keeps_its_stroke() -> None:
    axes = Figure().subplots()
    axes.plot([0, 1], [0, 1], label=canvas.label_of(r"\$x\$ $y$"))
    axes.legend()
    assert r"\$x\$ $y$" in texts(axes.figure)


def test_what_is_visible_is_what_the_report_calls_visible() -> None:
    everything = [chr(code) for code in range(0x110000)]
    assert [visible(c) for c in everything] == [wording.visible(c) for c in everything]


@each_picture
def test_one_epoch_is_enough_or_the_picture_says_why_not(tmp_path: Path, ax: Axes, name: str) -> None:
    x, labels = blobs(60, 3, 4)
    one = record_run(tmp_path / "one", x, labels, ["a", "b", "c"], epochs=1)
    if name == "data_map":
        with pytest.raises(NotRecordedError, match="at least two epochs"):
            PICTURES[name](one, ax=ax)
        return
    PICTURES[name](one, ax=ax)
    ax.figure.canvas.draw()
    if name in ("trajectories", "stopping"):
        assert [tick for tick in ax.get_xticks() if -0.5 <= tick <= 0.5] == [0]


@each_picture
def test_no_epoch_is_an_error_that_says_how_there_is_one(tmp_path: Path, ax: Axes, name: str) -> None:
    x, labels = blobs(60, 3, 4)
    empty = record_run(tmp_path / "empty", x, labels, ["a", "b", "c"], epochs=0)
    if name == "removal_curves":
        return
    with pytest.raises(RunFormatError, match="end_epoch"):
        PICTURES[name](empty, ax=ax)


def test_a_run_in_which_no_alignment_is_defined(tmp_path: Path, ax: Axes) -> None:
    x, labels = blobs(60, 3, 0)
    zero = record_run(tmp_path / "zero", x, labels, ["a", "b", "c"], epochs=2, zero_weights=True)
    for name in ("alignments", "trajectories", "stopping"):
        with pytest.raises(NotRecordedError):
            PICTURES[name](zero, ax=ax)
    assert not ax.has_data()


def test_a_run_without_what_tells_suspects(tmp_path: Path, ax: Axes) -> None:
    x, labels = blobs(60, 3, 4)
    bare = record_run(tmp_path / "bare", x, labels, ["a", "b", "c"], epochs=2, signals=["loss"])
    for name in ("alignments", "noise_matrix", "label_scores"):
        with pytest.raises(NotRecordedError, match="top_prob"):
            PICTURES[name](bare, ax=ax)
    with pytest.raises(NotRecordedError, match="p_label"):
        gwa.plot.data_map(bare, ax=ax)
    gwa.plot.trajectories(bare, [3], ax=ax)


def test_what_does_not_fit_is_refused(run: Run, ax: Axes) -> None:
    scores = gwa.rank(run)
    other = gwa.Scores(np.zeros(3), np.arange(3), "mine", "low", {"is_label_issue": np.zeros(3, dtype=bool)})
    with pytest.raises(InputError, match="0 to 5"):
        gwa.plot.alignments(run, epoch=6, ax=ax)
    with pytest.raises(InputError, match="of the 300 samples"):
        gwa.plot.alignments(run, scores=other, ax=ax)
    with pytest.raises(InputError, match="'is_label_issue'"):
        gwa.plot.data_map(run, scores=gwa.rank(run, "alignment"), ax=ax)
    with pytest.raises(InputError, match="noise matrix"):
        gwa.plot.noise_matrix(gwa.rank(run, "alignment"), ax=ax)
    with pytest.raises(InputError, match="5 class names"):
        gwa.plot.noise_matrix(scores, class_names=["a"], ax=ax)
    with pytest.raises(InputError, match="label_score"):
        gwa.plot.label_scores(other, ax=ax)
    assert not ax.has_data()
