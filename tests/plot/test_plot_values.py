"""What is drawn against numbers that were worked out without the code that draws."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.patches import StepPatch

import gwa_attrib as gwa
from gwa_attrib.errors import InputError, NotRecordedError
from gwa_attrib.plot.histograms import bar_edges, fine_counts, paint_groups
from gwa_attrib.plot.mapping import POINTS, SIZES, paint_map
from gwa_attrib.scores import Scores
from gwa_attrib.store import Run


def steps(ax: Axes) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Heights (0 for none) and edges of each histogram, by the first word of its label that is none of a number."""
    patches = [patch for patch in ax.patches if isinstance(patch, StepPatch)]
    found = {}
    for patch in patches:
        data = patch.get_data()
        found[str(patch.get_label()).lstrip("0123456789, ")] = np.nan_to_num(data.values), data.edges
    return found


def legend_of(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def curve(ax: Axes, label: str) -> tuple[np.ndarray, np.ndarray]:
    (line,) = [line for line in ax.lines if line.get_label() == label]
    return np.asarray(line.get_xdata(), dtype=float), np.asarray(line.get_ydata(), dtype=float)


def test_bars_are_shares_of_each_group(ax: Axes) -> None:
    """By hand: from bin 500 to bin 1750 of 0.001 are 1251 bins, so that a bar has ceil(1251 / 40) = 32 of them; the
    first begins at 1000 - 16 * 32 = 488, which is -0.512. So -0.5 is in bar 0, 0.25 in bar 23 and 0.75 in bar 39."""
    others, suspects = fine_counts(np.array([-0.5, 0.2505, 0.2505, 0.7505])), fine_counts(np.array([-0.4995, np.nan]))
    paint_groups(ax, others, suspects, bar_edges(others + suspects))
    heights, edges = steps(ax)["other samples"]
    assert edges[0] == pytest.approx(-0.512)
    assert np.diff(edges) == pytest.approx(0.032)
    assert {int(i): heights[i] for i in heights.nonzero()[0]} == {0: 25.0, 23: 50.0, 39: 25.0}
    assert steps(ax)["suspects"][0].tolist() == [100.0] + [0.0] * (len(heights) - 1)


@pytest.mark.parametrize("epoch", [None, 2])
def test_alignments_of_an_epoch(run: Run, ax: Axes, epoch: int | None) -> None:
    scores = gwa.rank(run)
    assert gwa.plot.alignments(run, epoch=epoch, ax=ax) is ax
    values, suspect = run.trajectory("alignment")[5 if epoch is None else epoch], scores.columns["is_label_issue"]
    assert 0 < suspect.sum() < 300
    for name, group in (("suspects", suspect), ("other samples", ~suspect)):
        heights, edges = steps(ax)[name]
        counted = np.array([np.sum((values[group] >= a) & (values[group] < b)) for a, b in pairwise(edges)])
        assert heights == pytest.approx(100 * counted / group.sum())
        assert heights.sum() == pytest.approx(100)
    assert f"epoch {5 if epoch is None else epoch} " in ax.get_xlabel()
    assert legend_of(ax) == ["other samples", "suspects"]


def test_alignments_take_the_suspects_of_given_scores(run: Run, ax: Axes) -> None:
    scores = gwa.rank(run)
    one = np.arange(300) == 7
    gwa.plot.alignments(
        run, scores=Scores(scores.values, scores.sample_ids, "mine", "low", {"is_label_issue": one}), ax=ax
    )
    heights, edges = steps(ax)["suspects"]
    bar = int(np.argmax(heights))
    assert heights[bar] == pytest.approx(100)
    assert edges[bar] <= run.trajectory("alignment")[5, 7] < edges[bar + 1]


def test_a_group_without_samples_is_not_in_the_legend(run: Run, ax: Axes) -> None:
    scores = gwa.rank(run)
    nobody = {"is_label_issue": np.zeros(300, dtype=bool)}
    gwa.plot.alignments(run, scores=Scores(scores.values, scores.sample_ids, "mine", "low", nobody), ax=ax)
    assert legend_of(ax) == ["other samples"]


def test_trajectories_are_those_of_the_samples_over_the_mean(run: Run, ax: Axes) -> None:
    assert gwa.plot.trajectories(str(run.path), [9, 4, 9], ax=ax) is ax
    matrix = run.trajectory("alignment")
    for i in (9, 4):
        x, y = curve(ax, f"sample {i}")
        assert x.tolist() == [0, 1, 2, 3, 4, 5]
        assert y == pytest.approx(matrix[:, i])
    assert curve(ax, "mean of all samples")[1] == pytest.approx(matrix.mean(axis=1))
    assert legend_of(ax) == ["mean of all samples", "sample 9", "sample 4"]
    assert len(ax.lines) == 4  # and the line at zero


def test_many_trajectories_share_a_name(run: Run, ax: Axes) -> None:
    gwa.plot.trajectories(run, run.sample_ids[:200], ax=ax)
    assert len(ax.lines) == 202
    assert legend_of(ax) == ["mean of all samples", "200 samples"]


@pytest.mark.parametrize("ids", [[], [3, 300], [-1]])
def test_trajectories_of_samples_that_are_not_there(run: Run, ax: Axes, ids: list[int]) -> None:
    with pytest.raises(InputError, match="ids of samples of this run"):
        gwa.plot.trajectories(run, ids, ax=ax)


def test_the_data_map_has_every_sample_and_marks_the_suspects(run: Run, ax: Axes) -> None:
    assert gwa.plot.data_map(run, ax=ax) is ax
    p_label = run.trajectory("p_label").astype(np.float64)
    expected = np.stack([p_label.std(axis=0), p_label.mean(axis=0)], axis=1)
    drawn = {str(line.get_label()): np.stack(line.get_data(), axis=1) for line in ax.lines}
    points = np.concatenate([xy for label, xy in drawn.items() if label != "suspect"])
    assert np.sort(points, axis=0) == pytest.approx(np.sort(expected, axis=0), abs=1e-5)
    suspect = gwa.rank(run).columns["is_label_issue"]
    assert np.sort(drawn["suspect"], axis=0) == pytest.approx(np.sort(expected[suspect], axis=0), abs=1e-5)
    right = run.trajectory("correct").mean(axis=0)
    assert len(drawn.get("80 % and over", [])) == np.sum(right >= 0.8 - 1e-6)
    assert legend_of(ax)[-1] == "suspect"


def test_many_samples_become_hexagons_that_grow_with_their_number(ax: Axes) -> None:
    many = POINTS + 1
    x, y = np.full(many, 0.1), np.full(many, 0.5)
    x[0], y[0] = 0.3, 0.9
    assert paint_map(ax, x, y, np.ones(many), np.zeros(many, dtype=bool))
    drawn = [line for line in ax.lines if len(line.get_xdata())]
    assert sorted(line.get_markersize() for line in drawn) == [SIZES[0], SIZES[3]]
    assert [len(line.get_xdata()) for line in drawn] == [1, 1]


def test_the_noise_matrix_in_percent(ax: Axes) -> None:
    """By hand: 3 of 4 samples of class 0 carry 0; 1 in 400 of class 1 carries 2; nothing is of class 2."""
    matrix = np.array([[0.75, 0.25, 0.0], [0.0, 0.9975, 0.0025], [np.nan] * 3])
    scores = Scores(np.zeros(2), np.arange(2), "mislabeled", "high", meta={"noise_matrix": matrix})
    assert gwa.plot.noise_matrix(scores, class_names=["cat", "dog", "newt"], ax=ax) is ax
    assert np.ma.filled(ax.images[0].get_array(), np.nan) == pytest.approx(100 * matrix, nan_ok=True)
    cells = {tuple(map(int, text.get_position())): text.get_text() for text in ax.texts}  # (column, row)
    assert cells == {(0, 0): "75", (1, 0): "25", (1, 1): "100", (2, 1): "<1"}
    for ticks in (ax.get_xticklabels(), ax.get_yticklabels()):
        assert [text.get_text() for text in ticks] == ["cat", "dog", "newt"]


def test_the_noise_matrix_of_a_run_has_its_class_names(run: Run, ax: Axes) -> None:
    gwa.plot.noise_matrix(run, ax=ax)
    assert [text.get_text() for text in ax.get_yticklabels()] == list(run.class_names)
    assert np.ma.filled(ax.images[0].get_array(), np.nan) == pytest.approx(100 * gwa.rank(run).meta["noise_matrix"])


def test_of_many_classes_those_with_most_errors_are_shown(ax: Axes) -> None:
    matrix = np.eye(100)
    for k in range(70, 99):
        matrix[k, k], matrix[k, k + 1] = 0.5, 0.5
    scores = Scores(np.zeros(1), np.zeros(1, dtype=int), "mislabeled", "high", meta={"noise_matrix": matrix})
    gwa.plot.noise_matrix(scores, ax=ax)
    assert [text.get_text() for text in ax.get_yticklabels()] == [str(k) for k in range(70, 100)]
    assert ax.get_title() == "the 30 of 100 classes with most errors"
    assert ax.images[0].get_array().shape == (30, 30)


def test_stopping_has_both_curves_and_the_epoch_of_every_rule(run: Run, ax: Axes) -> None:
    assert gwa.plot.stopping(run, ax=ax) is ax
    table = run.epochs()
    assert curve(ax, "mean alignment")[1] == pytest.approx(table["mean"].to_numpy())
    (right,) = [other for other in ax.figure.axes if other is not ax]
    reliable = table["gwa_reliable"].to_numpy(bool)
    assert curve(right, "GWA where reliable")[1] == pytest.approx(np.where(reliable, table["gwa"], np.nan), nan_ok=True)
    kept: dict[int, list[str]] = {}
    for rule in ("paper", "mean_alignment", "label_wave", "validation", "last"):
        kept.setdefault(gwa.choose_epoch(run, rule).epoch, []).append(rule.replace("_", " "))
    assert "validation" in kept[3]
    assert "last" in kept[5]
    labels = [f"epoch {epoch}: {', '.join(kept[epoch])}" for epoch in sorted(kept)]
    assert [text for text in legend_of(ax) if text.startswith("epoch")] == labels
    for epoch, label in zip(sorted(kept), labels, strict=True):
        x, y = curve(ax, label)
        assert x.tolist() == [epoch]
        assert y == pytest.approx([table["mean"][epoch]])


def test_epochs_in_which_gwa_is_not_reliable_are_hatched_and_have_no_value(ax: Axes) -> None:
    from gwa_attrib.plot.epochs import paint_stopping

    paint_stopping(ax, np.arange(3), np.array([0.1, 0.2, 0.3]), np.array([0.1, np.nan, 0.2]), {1: ["last"]})
    (span,) = [patch for patch in ax.patches if patch.get_label() == "GWA not reliable"]
    assert (span.get_x(), span.get_width()) == (0.5, 1.0)
    assert legend_of(ax) == ["mean alignment", "GWA where reliable", "GWA not reliable", "epoch 1: last"]


@pytest.fixture
def removal() -> pd.DataFrame:
    rows = [("mislabeled", 0.2, -0.3), ("mislabeled", 0.1, -0.2), ("random", 0.1, 0.01), ("random", 0.2, 0.02)]
    table = pd.DataFrame(rows, columns=["method", "share", "change"])
    return table.assign(low=table["change"] - 0.05, high=table["change"] + 0.1)


def test_removal_curves_have_the_changes_and_their_intervals(removal: pd.DataFrame, ax: Axes) -> None:
    assert gwa.plot.removal_curves(removal, ax=ax) is ax
    assert legend_of(ax) == ["mislabeled", "random"]
    for bars, change, x in zip(ax.containers, ([-0.2, -0.3], [0.01, 0.02]), (-0.12, 0.0), strict=True):
        line, _, (intervals,) = bars.lines
        assert line.get_ydata() == pytest.approx(change)
        assert line.get_xdata() == pytest.approx([10 + x, 20 + x])  # side by side
        ends = np.array([segment[:, 1] for segment in intervals.get_segments()])
        assert ends == pytest.approx(np.array([[c - 0.05, c + 0.1] for c in change]))


def test_removal_curves_of_a_comparison_without_removal(ax: Axes) -> None:
    class Compared:
        removal = None

    with pytest.raises(NotRecordedError, match="removal="):
        gwa.plot.removal_curves(Compared(), ax=ax)


def test_label_scores_are_counted_in_bars_that_part_at_one_half(ax: Axes) -> None:
    """By hand: bars of 1/40; 0.01 is in the first, 0.49 in the 20th, 0.5 in the 21st, 1.0 in the last."""
    values = np.array([0.01, 0.02, 0.49, 0.5, 0.99, 1.0, 1.0, np.nan])
    scores = Scores(values, np.arange(8), "mislabeled", "low", {"label_score": values})
    assert gwa.plot.label_scores(scores, ax=ax) is ax
    suspects, others = steps(ax)["suspects"], steps(ax)["other samples"]
    assert suspects[0].tolist() == [2.0] + [0.0] * 18 + [1.0]
    assert others[0].tolist() == [1.0] + [0.0] * 18 + [3.0]
    assert suspects[1][-1] == others[1][0] == 0.5
    assert legend_of(ax) == ["3 suspects", "4 other samples"]
    assert [float(x) for line in ax.lines for x in line.get_xdata()] == [0.5, 0.5]
    assert "not counted: 1 without one" in ax.get_xlabel()
