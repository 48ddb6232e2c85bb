"""The tables beside a run: one for people, one for programs."""

from pathlib import Path

import numpy as np
import pandas as pd

from gwa_attrib.exporting.issues import issue_table, write_issues
from gwa_attrib.scores import Scores


def test_people_get_the_worst_first_and_programs_the_samples_in_their_order(tmp_path: Path) -> None:
    """Equal values have different ranks, and what was never seen is last."""
    columns = {
        "is_label_issue": np.array([True, False, True, False]),
        "key": np.array(["a", "b", "c", "d"], dtype=object),
        "given_label": np.array(["x", "y", "x", None], dtype=object),
        "extra": np.arange(4),
    }
    values = np.array([2.0, -1.0, 2.0, np.nan])
    scores = Scores(values, np.array([5, 6, 7, 8]), method="mislabeled", suspect="high", columns=columns)
    write_issues(scores, tmp_path, ["one", "=two()", "three", "four"])
    csv, parquet = pd.read_csv(tmp_path / "issues.csv"), pd.read_parquet(tmp_path / "issues.parquet")
    first = ["key", "given_label", "is_label_issue", "rank", "text"]
    assert list(csv) == [*first, "sample_id", "extra", "mislabeled"]
    assert csv["sample_id"].tolist() == [5, 7, 6, 8]
    assert csv["rank"].tolist() == [1, 2, 3, 4]
    assert csv["text"].tolist() == ["one", "three", "'=two()", "four"]
    pd.testing.assert_frame_equal(parquet, scores.to_frame(), check_dtype=False)
    assert issue_table(scores, k=9)["sample_id"].tolist() == scores.top(9).tolist() == [5, 7, 6]
