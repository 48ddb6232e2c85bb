"""What was observed of the layers waits for the end of the epoch and comes out as it went in, sorted and tidy."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gwa_attrib.functional.layer_alignment import GroupGradient
from gwa_attrib.recording import buffer
from gwa_attrib.recording.buffer import LayerBuffer
from gwa_attrib.store.schema import LAYER_SCHEMA

GROUPS = ("all", "stem", "body.0")


def observation(n: int, groups: int = len(GROUPS), dtype: torch.dtype = torch.float32) -> GroupGradient:
    return GroupGradient(*(torch.randn(n, groups, dtype=dtype) for _ in range(3)))


def filled(ids: list[list[int]], **options: torch.dtype) -> tuple[LayerBuffer, list[GroupGradient]]:
    torch.manual_seed(0)
    found, batches = LayerBuffer(GROUPS), [observation(len(part), **options) for part in ids]
    for step, (batch, part) in enumerate(zip(batches, ids, strict=True)):
        found.append(batch, torch.tensor(part, dtype=torch.int64), step + 10)
    return found, batches


def naive(ids: list[list[int]], batches: list[GroupGradient], epoch: int) -> list[tuple]:
    """Row by row, and sorted as Python sorts: by layer in the order of the groups, by sample, by step."""
    rows = []
    for group, name in enumerate(GROUPS):
        of_group = []
        for step, (batch, part) in enumerate(zip(batches, ids, strict=True)):
            for i, sample in enumerate(part):
                values = [float(signal[i, group].float()) for signal in (batch.alignment, batch.dot, batch.norm)]
                of_group.append((sample, epoch, step + 10, name, *values))
        rows += sorted(of_group, key=lambda row: (row[0], row[2]))
    return rows


@given(ids=st.lists(st.lists(st.integers(0, 2**40), max_size=5), min_size=1, max_size=4).filter(any))
def test_the_table_holds_what_was_observed(ids: list[list[int]]) -> None:
    waiting, batches = filled(ids)
    table = waiting.table(7)
    assert table.schema.equals(LAYER_SCHEMA)
    table.validate(full=True)
    assert list(zip(*(table[name].to_pylist() for name in LAYER_SCHEMA.names), strict=True)) == naive(ids, batches, 7)


def test_columns_and_types_are_plain() -> None:
    table = filled([[3, 1]])[0].table(0)
    assert {name: str(kind) for name, kind in zip(table.schema.names, table.schema.types, strict=True)} == {
        "sample_id": "int64",
        "epoch": "int32",
        "step": "int64",
        "layer": "dictionary<values=string, indices=int32, ordered=0>",
        "alignment": "float",
        "dot": "float",
        "grad_norm": "float",
    }
    assert table["layer"].combine_chunks().dictionary.to_pylist() == list(GROUPS)


@pytest.mark.parametrize("every", [1, 27, 28, 10_000])
def test_when_it_is_brought_over_does_not_matter(monkeypatch: pytest.MonkeyPatch, every: int) -> None:
    ids = [[3, 1, 2], [0], [5, 4, 1, 6]]
    expected = filled(ids)[0].table(0)
    monkeypatch.setattr(buffer, "NUMBERS", every)
    assert filled(ids)[0].table(0).equals(expected)


def test_looking_changes_nothing() -> None:
    waiting, _ = filled([[0, 2], [1]])
    first = waiting.table(0)
    assert waiting.table(0).equals(first)
    waiting.append(observation(2), torch.tensor([7, 8]), 99)
    again = waiting.table(0).to_pandas()
    pd.testing.assert_frame_equal(again[again["step"] < 99].reset_index(drop=True), first.to_pandas())


def test_values_are_those_of_the_moment_they_were_given() -> None:
    waiting, batches = filled([[0, 1]])
    expected = waiting.table(0)
    again = LayerBuffer(GROUPS)
    again.append(batches[0], torch.tensor([0, 1]), 10)
    batches[0].dot.zero_()
    assert again.table(0).equals(expected)


def test_a_batch_without_samples_is_nothing() -> None:
    ids = [[3, 1], [], [2]]
    table = filled(ids)[0].table(0)
    assert len(table) == 3 * len(GROUPS)
    assert sorted(set(table["sample_id"].to_pylist())) == [1, 2, 3]


def test_what_is_not_known_stays_unknown_and_float64_becomes_float32() -> None:
    waiting = LayerBuffer(GROUPS)
    batch = observation(2, dtype=torch.float64)
    batch.alignment[0, 1], batch.norm[1, 2] = torch.nan, torch.inf
    waiting.append(batch, torch.tensor([0, 1]), 0)
    frame = waiting.table(0).to_pandas().set_index(["layer", "sample_id"])
    assert np.isnan(frame.loc[("stem", 0), "alignment"])
    assert np.isinf(frame.loc[("body.0", 1), "grad_norm"])
    assert frame["alignment"].isna().sum() == 1
    assert frame.loc[("all", 1), "dot"] == np.float32(batch.dot[1, 0])


def test_a_sample_that_comes_twice_keeps_both_rows_in_the_order_of_the_steps() -> None:
    ids = [[4, 0], [4], [0, 4]]
    waiting, batches = filled(ids)
    frame = waiting.table(0).to_pandas()
    of_stem = frame[(frame["layer"] == "stem") & (frame["sample_id"] == 4)]
    assert of_stem["step"].tolist() == [10, 11, 12]
    assert of_stem["dot"].tolist() == [float(batches[b].dot[i, 1]) for b, i in ((0, 0), (1, 0), (2, 1))]
