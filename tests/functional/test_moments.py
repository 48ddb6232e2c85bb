"""Moments of a set of alignments: from the definition, stable, and of a union the same as of the whole."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gwa_attrib.functional import Moments, gwa, moments
from tests import oracles, properties

cosines = st.floats(-1, 1, allow_subnormal=False).map(lambda x: round(x, 6))
sets = st.lists(cosines, max_size=30)


def of(values: list[float]) -> Moments:
    return moments(torch.tensor(values, dtype=torch.float64))


def close(found: Moments, expected: Moments, rel: float = 1e-9) -> None:
    assert found.n == expected.n
    for name in ("mean", "m2", "m3", "m4"):
        a, b = getattr(found, name), getattr(expected, name)
        assert a == pytest.approx(b, rel=rel, abs=1e-12, nan_ok=True), name


@given(values=sets)
def test_sums_are_those_of_the_definition(values: list[float]) -> None:
    close(of(values), Moments(*oracles.central_sums(values)))


@given(values=st.lists(cosines, min_size=2, max_size=30).filter(lambda x: max(x) - min(x) > 1e-3))
def test_kurtosis_is_that_of_scipy_and_gwa_is_the_quotient(values: list[float]) -> None:
    found = of(values)
    kurtosis = stats.kurtosis(values, fisher=True, bias=True)
    assert found.excess_kurtosis == pytest.approx(kurtosis, rel=1e-6, abs=1e-6)
    assert found.excess_kurtosis == pytest.approx(oracles.excess_kurtosis(values), rel=1e-9, abs=1e-9)
    assert found.gwa_reliable == (found.excess_kurtosis >= -1.0)
    if abs(kurtosis + 1.2) > 1e-3:
        assert found.gwa == pytest.approx(oracles.gwa(values), rel=1e-5)
        assert gwa(torch.tensor(values, dtype=torch.float64)) == found.gwa


@given(parts=st.lists(sets, max_size=6))
def test_the_union_does_not_depend_on_the_split_or_the_order(parts: list[list[float]]) -> None:
    whole = of([value for part in parts for value in part])
    for total in properties.sums_in_every_order([of(part) for part in parts], Moments()):
        close(total, whole)


@given(values=sets)
def test_an_empty_set_adds_nothing(values: list[float]) -> None:
    assert of(values) + Moments() == of(values) or not values
    assert Moments() + of(values) == of(values) or not values


@given(values=sets, holes=st.lists(st.sampled_from([math.nan, math.inf, -math.inf]), max_size=4), seed=st.randoms())
def test_what_is_not_finite_is_passed_over(values: list[float], holes: list[float], seed) -> None:
    mixed = values + holes
    seed.shuffle(mixed)
    close(of(mixed), of(values))


@pytest.mark.parametrize("value", [0.0, 0.1, 0.3, 1 / 3, -0.7, 1.0, 1e6 + 0.1, 1e-30])
@pytest.mark.parametrize("n", [1, 2, 3, 7, 1000, 100_003])
def test_equal_values_have_no_kurtosis(value: float, n: int) -> None:
    found = of([value] * n)
    assert math.isnan(found.excess_kurtosis)
    assert math.isnan(found.gwa)
    assert not found.gwa_reliable


@given(value=cosines, sizes=st.lists(st.integers(0, 50), min_size=1, max_size=20))
def test_a_union_of_equal_values_has_no_kurtosis(value: float, sizes: list[int]) -> None:
    total = sum((of([value] * n) for n in sizes), Moments())
    assert math.isnan(total.excess_kurtosis)
    assert not total.gwa_reliable


def test_nothing_has_no_moments() -> None:
    for found in (of([]), of([math.nan, math.inf]), Moments()):
        assert found.n == 0
        assert math.isnan(found.mean)
        assert math.isnan(found.excess_kurtosis)
        assert math.isnan(found.gwa)
        assert not found.gwa_reliable


def test_two_modes_push_gwa_through_its_pole_and_say_so() -> None:
    """70 % at +0.6 and 30 % at -0.4: a good mean, and a quotient of the wrong sign."""
    found = of([0.6] * 70 + [-0.4] * 30)
    assert found.mean == pytest.approx(0.30)
    assert found.excess_kurtosis == pytest.approx((1 - 6 * 0.21) / 0.21)
    assert found.gwa == pytest.approx(-7.875)
    assert not found.gwa_reliable


def test_two_narrow_modes_sit_closer_to_the_pole() -> None:
    """The same modes with a standard deviation of 0.039 each."""
    spread = stats.norm.ppf((torch.arange(1000).double() + 0.5) / 1000).tolist()
    found = of([0.6 + 0.039 * x for x in spread] * 7 + [-0.4 + 0.039 * x for x in spread] * 3)
    assert found.mean == pytest.approx(0.30)
    assert found.gwa == pytest.approx(-14.7, rel=0.1)
    assert not found.gwa_reliable


@pytest.mark.parametrize("kurtosis_below", [True, False])
def test_the_flag_turns_at_minus_one(kurtosis_below: bool) -> None:
    """x = ±1 with probability (1-a)/2 each and 0 with a: excess kurtosis 1/(1-a) - 3, which is -1 at a = 1/2."""
    zeros = 98 if kurtosis_below else 102
    found = of([1.0] * 50 + [-1.0] * 50 + [0.0] * zeros)
    assert found.gwa_reliable != kurtosis_below


@pytest.mark.parametrize("spread", [1.0, 1e-3])
def test_a_large_offset_costs_no_digits(spread: float) -> None:
    values = (1e6 + spread * torch.randn(1000, dtype=torch.float64)).tolist()
    found = of(values)
    assert found.excess_kurtosis == pytest.approx(oracles.excess_kurtosis(values), rel=1e-6, abs=1e-6)
    merged = sum((of(values[i : i + 77]) for i in range(0, 1000, 77)), Moments())
    close(merged, found, rel=1e-5)


def test_float32_alignments_are_summed_in_float64() -> None:
    values = torch.randn(100_000) * 1e-3 + 0.9
    expected = stats.kurtosis(values.double().numpy())
    assert moments(values).excess_kurtosis == pytest.approx(float(expected), rel=1e-9)


@pytest.mark.parametrize("scale", [1e-70, 1e-30, 1e70])
def test_kurtosis_does_not_depend_on_the_unit(scale: float) -> None:
    values = torch.randn(50, dtype=torch.float64)
    assert moments(values * scale).excess_kurtosis == pytest.approx(moments(values).excess_kurtosis, rel=1e-9)


def test_where_fourth_powers_vanish_there_is_no_kurtosis() -> None:
    found = moments(torch.randn(50, dtype=torch.float64) * 1e-100)
    assert math.isnan(found.excess_kurtosis)
    assert not found.gwa_reliable


def test_any_shape_is_a_set() -> None:
    values = torch.randn(3, 4, 5)
    assert moments(values) == moments(values.flatten())
    assert moments(values[0, 0, 0]).n == 1


def test_a_graph_is_not_kept() -> None:
    assert isinstance(moments(torch.randn(4, requires_grad=True)).mean, float)
