"""Stopping rules on given series: what they choose, when they stop, and what they say."""

from pathlib import Path

import pytest

import gwa_attrib as gwa
from gwa_attrib.errors import InputError, NotRecordedError, UnknownNameError
from gwa_attrib.stopping import choices, stopping_rules
from gwa_attrib.store import Run
from tests.stopping.histories import falling_then_rising, history


def test_the_paper_takes_the_largest_gwa_after_the_warm_up(tmp_path: Path) -> None:
    mean = [0.9, 0.8, 0.1, 0.3, 0.5, 0.4, 0.35, 0.35, 0.3, 0.3, *[0.2] * 10]
    run = history(tmp_path / "run", mean)  # 20 epochs: the first two end within the first tenth
    found = gwa.choose_epoch(run)
    assert (found.epoch, found.measure, found.stop) == (4, "gwa", False)
    kurtosis = [0.0] * 4 + [2.0] + [0.0] * 15
    assert gwa.choose_epoch(history(tmp_path / "other", mean, kurtosis=kurtosis)).epoch == 5


def test_the_paper_goes_by_the_mean_where_gwa_is_near_its_pole(tmp_path: Path) -> None:
    mean = [0.1, 0.2, 0.3, 0.4, 0.3, 0.2, 0.2, 0.2, 0.2, 0.2]
    kurtosis = [0.0, -1.19, 0.5, 1.0, -0.5, *[0.0] * 5]
    found = gwa.choose_epoch(history(tmp_path / "run", mean, kurtosis=kurtosis))
    assert (found.epoch, found.measure) == (3, "mean_alignment")
    assert "1 of 9" in found.reason
    assert set(found.also) == {3, 4}
    in_warm_up = [-1.19, *[0.0] * 9]
    assert gwa.choose_epoch(history(tmp_path / "other", mean, kurtosis=in_warm_up)).measure == "gwa"


def test_fine_tuning_begins_at_the_first_minimum(tmp_path: Path) -> None:
    """Alignment starts high, falls, and rises again: the start must not win."""
    run = history(tmp_path / "run", [0.9, 0.6, 0.2, 0.4, 0.5, 0.3])
    assert gwa.choose_epoch(run, mode="finetune").epoch == 4
    assert gwa.choose_epoch(run).epoch == 0
    falling = history(tmp_path / "falling", [0.9, 0.6, 0.5, 0.4])
    assert gwa.choose_epoch(falling, mode="finetune").epoch == 3


def test_the_probe_is_averaged_over_three_epochs(tmp_path: Path) -> None:
    run = history(tmp_path / "run", [0.1] * 8, probe=[0.1, 0.2, 0.9, 0.1, 0.4, 0.5, 0.55, 0.4])
    assert gwa.choose_epoch(run, "probe_alignment").epoch == 6
    assert gwa.choose_epoch(run, "probe_bounded_gwa").epoch == 2


def test_the_consensus_leaves_the_first_epoch_out(tmp_path: Path) -> None:
    run = history(tmp_path / "run", [0.1] * 5, probe=[0.1] * 5, agreeing=[99, 60, 80, 90, 70])
    found = gwa.choose_epoch(run, "consensus")
    assert (found.epoch, found.measure) == (3, "consensus")
    assert gwa.measure(run, "consensus").tolist() == [0.99, 0.6, 0.8, 0.9, 0.7]
    one = history(tmp_path / "one", [0.1], probe=[0.1], agreeing=[99])
    assert gwa.choose_epoch(one, "consensus").epoch == 0


def test_without_a_name_the_best_that_was_recorded_decides(tmp_path: Path) -> None:
    plain = history(tmp_path / "plain", [0.1, 0.3, 0.2])
    assert gwa.choose_epoch(plain).rule == "paper"
    probed = history(tmp_path / "probed", [0.1, 0.3, 0.2], probe=[0.1] * 3, agreeing=[0, 50, 60])
    assert (gwa.choose_epoch(probed).rule, gwa.choose_epoch(probed).epoch) == ("consensus", 2)
    assert gwa.choose_epoch(probed, mode="finetune").rule == "paper"
    assert gwa.choose_epoch(probed, "paper").epoch == 1


def test_label_wave_stops_at_the_first_local_minimum(tmp_path: Path) -> None:
    """The first epoch has no changes; a lower minimum after the patience is over comes too late."""
    changed = [None, 90, 60, 30, 60, 90, 90, 90, 90, 90, 90, 0, 0, 0]
    run = history(tmp_path / "run", [0.1] * len(changed), changed=changed)
    found = gwa.choose_epoch(run, "label_wave")
    assert (found.epoch, found.stop) == (4, True)  # trailing means: 90, 75, 60, 50, 60, ...
    assert gwa.choose_epoch(run, "label_wave", patience=9).epoch == 13
    short = history(tmp_path / "short", [0.1] * 4, changed=changed[:4])
    assert gwa.choose_epoch(short, "label_wave").stop is False
    assert gwa.choose_epoch(history(tmp_path / "one", [0.1], changed=[None]), "label_wave").epoch == 0


def test_gradient_disparity_stops_at_the_fifth_rise(tmp_path: Path) -> None:
    disparity = [5.0, 6, 4, 5, 6, 3, 4, 5, 6, 7]
    run = history(tmp_path / "run", [0.1] * 10, gradient_disparity_rescaled=disparity)
    found = gwa.choose_epoch(run, "gradient_disparity")
    assert (found.epoch, found.stop) == (7, True)
    assert gwa.choose_epoch(run, "gradient_disparity", patience=20).epoch == 9


def test_validation_takes_the_metric_it_is_told(tmp_path: Path) -> None:
    run = history(tmp_path / "run", [0.1] * 3, val_accuracy=[0.2, 0.9, 0.3], f1=[0.1, 0.2, 0.3])
    assert gwa.choose_epoch(run, "validation").epoch == 1
    assert gwa.choose_epoch(run, "validation", metric="f1").epoch == 2
    with pytest.raises(NotRecordedError, match=r"end_epoch\(auc="):
        gwa.choose_epoch(run, "validation", metric="auc")


def test_patience_stops_and_what_comes_later_is_not_seen(tmp_path: Path) -> None:
    mean = [0.1, 0.5, 0.4, 0.3, 0.2, 0.1, 0.9]
    run = history(tmp_path / "run", mean)
    assert gwa.choose_epoch(run, "mean_alignment").epoch == 6
    for patience in (1, 2, 4):
        found = gwa.choose_epoch(run, "mean_alignment", patience=patience)
        assert (found.epoch, found.stop) == (1, True)
    assert gwa.choose_epoch(run, "mean_alignment", patience=5).epoch == 6


@pytest.mark.parametrize("rule", stopping_rules.names())
def test_every_rule_chooses_an_epoch_also_where_nothing_is_defined(tmp_path: Path, rule: str) -> None:
    nan = float("nan")
    series = {"gradient_disparity_rescaled": falling_then_rising(3, 1), "val_accuracy": [0.1, 0.2, 0.1]}
    run = history(tmp_path / "run", [0.1, nan, nan], probe=[nan, 0.2, nan], changed=[None, 4, 4], **series)
    for mode in ("scratch", "finetune"):
        found = gwa.choose_epoch(run, rule, mode=mode)
        assert found.rule == rule
        assert found.epoch in (0, 1, 2)
        assert found.reason


def test_a_table_of_all_rules_says_what_could_not_decide(tmp_path: Path) -> None:
    run = history(tmp_path / "run", [0.1, 0.3, 0.2])
    table = choices(run).set_index("rule")
    assert table.index.tolist() == list(stopping_rules.names())
    assert table.loc["mean_alignment", "epoch"] == 1
    assert table["epoch"].isna()["validation"]
    assert "val_accuracy" in table.loc["validation", "reason"]
    with pytest.raises(NotRecordedError):
        choices(run, "probe_alignment")


@pytest.mark.parametrize("options", [{"mode": "pretrained"}, {"patience": 0}, {"patience": -1}])
def test_settings_that_make_no_sense(one: Run, options: dict[str, object]) -> None:
    with pytest.raises(InputError):
        gwa.choose_epoch(one, **options)


def test_a_rule_that_does_not_exist(one: Run) -> None:
    with pytest.raises(UnknownNameError, match="label_wave"):
        gwa.choose_epoch(one, "best")


@pytest.fixture
def one(tmp_path: Path) -> Run:
    return history(tmp_path / "run", [0.1])
