"""How far a head is from W h + b: rounding for a linear layer, large for anything else."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from gwa_attrib.functional import linear_deviation
from tests.functional.cases import HeadCase, head_cases

ROUNDING = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 5e-2, torch.float16: 1e-2}


@pytest.mark.parametrize("dtype", list(ROUNDING))
@given(data=st.data())
def test_a_linear_layer_deviates_by_rounding(dtype: torch.dtype, data: st.DataObject) -> None:
    case = data.draw(head_cases(dtype))
    assert linear_deviation(case.features, case.logits, case.weight, case.bias) < ROUNDING[dtype]


@given(case=head_cases(), scale=st.sampled_from([0.5, 0.9, 1.1, 2.0]))
def test_a_temperature_shows(case: HeadCase, scale: float) -> None:
    found = linear_deviation(case.features, case.logits * scale, case.weight, case.bias)
    assert float(found) == pytest.approx(abs(scale - 1), rel=1e-9)


def test_normalised_features_show() -> None:
    features, weight = torch.randn(4, 6) * 3, torch.randn(5, 6)
    cosine = F.linear(F.normalize(features), F.normalize(weight))
    assert linear_deviation(features, cosine, weight) > 0.5


def test_one_wrong_sample_shows() -> None:
    features, weight = torch.randn(100, 6), torch.randn(5, 6)
    logits = features @ weight.T
    logits[57] = 0.0
    assert linear_deviation(features, logits, weight) > 0.01


def test_a_forgotten_bias_shows() -> None:
    features, weight, bias = torch.randn(4, 6), torch.randn(5, 6), torch.ones(5)
    assert linear_deviation(features, features @ weight.T + bias, weight) > 0.05


def test_a_head_of_zeros_is_linear() -> None:
    features, zero = torch.randn(4, 6), torch.zeros(5, 6)
    assert linear_deviation(features, features @ zero.T, zero) == 0


def test_nan_logits_are_not_called_linear() -> None:
    features, weight = torch.randn(4, 6), torch.randn(5, 6)
    assert not linear_deviation(features, features @ weight.T * torch.nan, weight) <= 1.0
