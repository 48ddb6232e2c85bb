"""Observations that wait for the end of the epoch come out as they went in, however often they are looked at."""

import pytest
import torch

from gwa_attrib.functional import Observation, observe
from gwa_attrib.recording import buffer
from gwa_attrib.recording.buffer import EpochBuffer
from gwa_attrib.store.schema import FLOAT_SIGNALS, SIGNALS


def observation(n: int, classes: int = 7, dtype: torch.dtype = torch.float32) -> Observation:
    features, weight = torch.randn(n, 4, dtype=dtype), torch.randn(classes, 4, dtype=dtype)
    return observe(features, features @ weight.T, torch.randint(classes, (n,)), weight)


def filled(sizes: list[int], **options: int) -> tuple[EpochBuffer, list[Observation]]:
    torch.manual_seed(0)
    found, batches = EpochBuffer(), [observation(n, **options) for n in sizes]
    for step, batch in enumerate(batches):
        found.append(batch, torch.arange(len(batch.label)) + 100 * step, step + 10, 0.5 / (step + 1))
    return found, batches


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_table_holds_what_was_observed(dtype: torch.dtype) -> None:
    waiting, batches = filled([3, 1, 4], dtype=dtype)
    table = waiting.table(7, SIGNALS)
    assert len(waiting) == table.num_rows == 8
    assert table["sample_id"].to_pylist() == [0, 1, 2, 100, 200, 201, 202, 203]
    assert table["step"].to_pylist() == [10] * 3 + [11] + [12] * 4
    assert set(table["epoch"].to_pylist()) == {7}
    assert table["learning_rate"].to_pylist() == pytest.approx([0.5] * 3 + [0.25] + [0.5 / 3] * 4)
    for name in ("label", "pred", "top_class"):
        assert table[name].to_pylist() == torch.cat([getattr(b, name) for b in batches]).tolist(), name
    for name in FLOAT_SIGNALS:
        assert table[name].to_pylist() == torch.cat([getattr(b, name) for b in batches]).float().tolist(), name
    expected = torch.cat([b.top_prob for b in batches]).half().flatten().tolist()
    assert [float(p) for top in table["top_prob"].to_pylist() for p in top] == expected


@pytest.mark.parametrize("every", [1, 4, 5, 100])
def test_when_it_is_brought_over_does_not_matter(monkeypatch: pytest.MonkeyPatch, every: int) -> None:
    expected = filled([3, 1, 4])[0].table(0, SIGNALS)
    monkeypatch.setattr(buffer, "OBSERVATIONS", every)
    assert filled([3, 1, 4])[0].table(0, SIGNALS).equals(expected)


def test_looking_changes_nothing() -> None:
    waiting, _ = filled([3, 2])
    first = waiting.table(0, SIGNALS)
    assert waiting.table(0, SIGNALS).equals(first)
    waiting.append(observation(2), torch.tensor([7, 8]), 9, 0.1)
    assert waiting.table(0, SIGNALS).slice(0, 5).equals(first)


@pytest.mark.parametrize("classes", [1, 2, 5, 300])
def test_class_numbers_are_exact(classes: int) -> None:
    waiting, batches = filled([50], classes=classes)
    table = waiting.table(0, SIGNALS)
    assert table["label"].to_pylist() == batches[0].label.tolist()
    assert len(table["top_class"][0]) == min(5, classes)


def test_only_the_signals_that_were_asked_for_are_laid_out() -> None:
    table = filled([3])[0].table(0, ("alignment", "top_class"))
    assert table.column_names == [
        "sample_id",
        "epoch",
        "step",
        "label",
        "pred",
        "alignment",
        "learning_rate",
        "top_class",
    ]


def test_a_batch_without_samples_is_nothing() -> None:
    with_empty, without = filled([3, 0, 2])[0], filled([3])[0]
    assert len(with_empty) == 5
    assert with_empty.table(0, SIGNALS).slice(0, 3).equals(without.table(0, SIGNALS))
