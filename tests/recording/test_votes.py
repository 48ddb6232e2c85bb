"""Labels that a training agrees on, against a plain count, and what the probe makes of them."""

import math
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gwa_attrib as gwa
from gwa_attrib.recording.samples import Consensus
from tests import loops

Row = tuple[int, int, float]


def table(rows: list[Row]) -> pa.Table:
    ids, pred, p_label = zip(*rows, strict=True) if rows else ((), (), ())
    return pa.table(
        {
            "sample_id": pa.array(ids, type=pa.int64()),
            "pred": pa.array(pred, type=pa.int32()),
            "p_label": pa.array(p_label, type=pa.float32()),
        }
    )


def counted(epochs: list[list[Row]]) -> dict[int, int]:
    votes: dict[int, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for rows in epochs:
        for sample, pred, p_label in rows:
            votes[sample][pred] += 0.0 if math.isnan(p_label) else 1.0 - p_label
    return {sample: max(sorted(of), key=lambda label: of[label]) for sample, of in votes.items()}


eighths = st.integers(0, 8).map(lambda i: i / 8)
rows = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3), st.one_of(eighths, st.just(math.nan))), max_size=12)


@given(epochs=st.lists(rows, max_size=5))
def test_is_a_plain_count(epochs: list[list[Row]]) -> None:
    consensus = Consensus()
    for epoch in epochs:
        consensus = consensus.after(table(epoch))
    expected = counted(epochs)
    found = consensus.labels(np.arange(8))
    assert found.tolist() == [expected.get(sample, -1) for sample in range(8)]


def test_a_memorised_label_does_not_outvote_what_was_said_before() -> None:
    consensus = Consensus()
    for p_label in (0.1, 0.2, 0.3):
        consensus = consensus.after(table([(0, 7, p_label)]))  # the label is 3, the model says 7
    for _ in range(40):
        consensus = consensus.after(table([(0, 3, 0.99)]))
    assert consensus.labels(np.array([0])).tolist() == [7]
    assert consensus.agreeing(table([(0, 7, 0.1)])) == 1
    assert consensus.agreeing(table([(0, 3, 0.99)])) == 0


def test_in_a_training_it_is_what_the_run_gives(tmp_path: Path) -> None:
    run = loops.recorded(tmp_path / "run", epochs=4, probe=9, signals=["alignment"])
    assert "p_label" not in run.observations().column_names
    run = loops.recorded(tmp_path / "all", epochs=4, probe=9)
    pred, p_label = run.trajectory("pred"), run.trajectory("p_label")
    probe = run.trajectory("pred", table="probe")
    for epoch, found in gwa.measure(run, "consensus").items():
        history = [list(zip(range(20), pred[e].astype(int), p_label[e], strict=True)) for e in range(epoch + 1)]
        agreed = counted(history)
        seen = np.flatnonzero(~np.isnan(probe[epoch]))
        assert found == pytest.approx(np.mean([agreed[i] == probe[epoch, i] for i in seen]))
    assert gwa.measure(run, "consensus").equals(gwa.measure(gwa.open_run(tmp_path / "run"), "consensus"))
