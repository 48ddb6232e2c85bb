"""Label Studio's annotations come back as the decisions that were made there."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gwa_attrib as gwa
from gwa_attrib.errors import InputError
from gwa_attrib.exporting.label_studio import DROP, choice_texts
from gwa_attrib.store import Run
from tests.small_runs import blobs, record_run

NAMES = ["cat", "line\nbreak", "$dog", '"/><b>']
TEXTS = choice_texts(NAMES)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    x, labels = blobs(80, 4, 8)
    return record_run(tmp_path_factory.mktemp("l") / "run", x, labels, NAMES)


@pytest.fixture
def tasks(run: Run, tmp_path: Path) -> list[dict[str, Any]]:
    """As the export wrote them."""
    exported = gwa.export(run, "label-studio", tmp_path / "tasks.json", data=["x"] * 80)
    return json.loads(exported.path.read_text())


def annotation(*choices: str, **more: Any) -> dict[str, Any]:
    """As Label Studio writes it."""
    region = {"id": "Dx", "from_name": "label", "to_name": "sample", "type": "choices", "origin": "manual"}
    result = [{**region, "value": {"choices": [choice]}} for choice in choices]
    return {"id": 1001, "result": result, "was_cancelled": False, "ground_truth": False, "completed_by": 1, **more}


def saved(tasks: list[dict[str, Any]], path: Path) -> Path:
    path.write_text(json.dumps([{"id": 5, "project": 1, **task} for task in tasks]))
    return path


def answer(tasks: list[dict[str, Any]], *annotations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**task, "annotations": found} for task, found in zip(tasks, annotations, strict=False)]


def test_every_answer_has_its_decision(run: Run, tasks: list[dict[str, Any]], tmp_path: Path) -> None:
    given = [task["data"]["given_label"] for task in tasks]
    other = next(text for text in TEXTS if text not in (given[1], given[6]))
    annotated = answer(
        tasks,
        [annotation(given[0])],  # keep
        [annotation(other)],  # relabel
        [annotation(DROP)],
        [annotation(other, was_cancelled=True)],  # skipped
        [annotation()],  # submitted without a choice
        [],  # not annotated
        [annotation(given[6]), annotation(other, ground_truth=True)],
    )
    found = gwa.read_decisions(saved(annotated, tmp_path / "export.json"), run)
    by_id = dict(zip(found.sample_ids.tolist(), zip(found.actions, found.labels.tolist(), strict=True), strict=True))
    ids = [task["data"]["sample_id"] for task in tasks]
    assert by_id == {
        ids[0]: ("keep", TEXTS.index(given[0])),
        ids[1]: ("relabel", TEXTS.index(other)),
        ids[2]: ("drop", -1),
        ids[6]: ("relabel", TEXTS.index(other)),
    }
    assert np.all(np.diff(found.sample_ids) > 0)
    assert set(found.facts["note"]) == {"Label Studio, annotation 1001"}
    assert found.facts["label_score"].between(0, 0.5).all()


def test_what_the_ranking_proposes_and_everybody_accepts_is_its_own_decision(
    run: Run, tasks: list[dict[str, Any]], tmp_path: Path
) -> None:
    accepted = answer(tasks, *([{**annotation(), **task["predictions"][0], "id": 1}] for task in tasks))
    found = gwa.read_decisions(saved(accepted, tmp_path / "export.json"), run)
    expected = gwa.decide(run, "relabel")
    np.testing.assert_array_equal(found.sample_ids, expected.sample_ids)
    np.testing.assert_array_equal(found.labels, expected.labels)
    assert gwa.apply(run, tmp_path / "export.json").counts == gwa.apply(run, expected).counts
    again = gwa.read_decisions(found.write(tmp_path / "decisions.csv"), run)
    np.testing.assert_array_equal(again.labels, found.labels)


def test_other_runs_are_refused(run: Run, tasks: list[dict[str, Any]], tmp_path: Path) -> None:
    x, labels = blobs(80, 4, 8)
    other = record_run(tmp_path / "other", x, labels, NAMES)
    path = saved(answer(tasks, [annotation(DROP)]), tmp_path / "export.json")
    with pytest.raises(InputError, match=run.info["run_id"]):
        gwa.apply(other, path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": {"image": "x"}}, "run_id and sample_id"),
        ({"sample_id": 80}, "80"),
        ({"sample_id": "x"}, "'x'"),
        ({"annotations": [annotation("horse")]}, "'horse'"),
        ({"annotations": [annotation(DROP), annotation(TEXTS[0])]}, "mark one annotation as ground truth"),
        ({"annotations": [annotation(DROP, TEXTS[0])]}, "one label per sample"),
        ({"annotations": []}, "none that chooses"),
        ({"annotations": 5}, "a list of tasks"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    run: Run, tasks: list[dict[str, Any]], tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    task = {**tasks[0], "annotations": [annotation(DROP)]}
    data = change.get("data", {**task["data"], **{k: v for k, v in change.items() if k == "sample_id"}})
    task = {**task, "annotations": change.get("annotations", task["annotations"]), "data": data}
    with pytest.raises(InputError, match=message):
        gwa.read_decisions(saved([task], tmp_path / "export.json"), run)


def test_the_same_sample_twice_has_to_agree(run: Run, tasks: list[dict[str, Any]], tmp_path: Path) -> None:
    same = [{**tasks[0], "annotations": [annotation(DROP)]}] * 2
    assert len(gwa.read_decisions(saved(same, tmp_path / "a.json"), run)) == 1
    differ = [same[0], {**tasks[0], "annotations": [annotation(TEXTS[0])]}]
    with pytest.raises(InputError, match="one label per sample"):
        gwa.read_decisions(saved(differ, tmp_path / "b.json"), run)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"tasks": []}', '[{"image": "x", "label": "cat"}]'])
def test_other_files_are_refused(run: Run, tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(InputError, match="format JSON"):
        gwa.read_decisions(tmp_path / "x.json", run)
    with pytest.raises(InputError, match="nowhere"):
        gwa.read_decisions(tmp_path / "nowhere.json", run)
