"""What is said of how long a training takes: its own pace, and plans, nothing else."""

import re

import pytest

from gwa_attrib.auditing.training import BUDGETS, LONG, estimate, plan_for
from gwa_attrib.display.text import duration

SHAPE, SAMPLES = (1, 28, 28), 10_000


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("seconds", [LONG - 1, LONG + 10, 50 * LONG])
def test_a_faster_budget_is_named_where_it_is_long_and_there_is_one(budget: str, seconds: float) -> None:
    plan, fast = plan_for("image", SHAPE, SAMPLES, budget), plan_for("image", SHAPE, SAMPLES, "fast")
    first = seconds / plan.epochs
    said = estimate(first, plan, "image", SHAPE, SAMPLES, budget)
    assert said.startswith(f"about {duration(seconds)} for {plan.epochs} epochs")
    assert ("--budget" in said) is (seconds > LONG and budget != "fast")
    if "--budget" in said:
        assert said.endswith(f"--budget fast has {fast.epochs} epochs, at most {duration(first * fast.epochs)}")


def test_fewer_epochs_than_those_of_a_faster_budget_are_not_called_slow() -> None:
    plan = plan_for("image", SHAPE, SAMPLES, "normal", epochs=3)
    assert "--budget" not in estimate(1000.0, plan, "image", SHAPE, SAMPLES, "normal")


def test_where_the_model_is_as_wide_the_time_is_no_bound() -> None:
    plan = plan_for("table", (30,), SAMPLES, "thorough")
    said = estimate(100.0, plan, "table", (30,), SAMPLES, "thorough")
    assert "at most" not in said
    assert re.search(r"--budget fast has \d+ epochs, about \d+ minutes", said)


@pytest.mark.parametrize("seconds", [0.01, 59.4, 59.6, 3599, 3600, 7_260])
def test_a_time_is_whole_numbers_of_at_most_two_units(seconds: float) -> None:
    assert re.fullmatch(r"[1-9]\d* (second|minute|hour)s?( [1-9]\d* minutes?)?", duration(seconds))
