"""Label Studio's annotations, read as decisions: the way back of `gwa_attrib.exporting.label_studio`."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import numpy as np
from jaxtyping import Int

from gwa_attrib.cleaning.decisions import Decisions, decisions_of
from gwa_attrib.datasets.messages import listed, shown
from gwa_attrib.errors import InputError
from gwa_attrib.exporting.label_studio import CONTROL, DROP, choice_texts
from gwa_attrib.store import Run
from gwa_attrib.value_types import Json


class Task(TypedDict):
    """A task of Label Studio's export, as far as it is read."""

    data: dict[str, Any]
    annotations: NotRequired[list[dict[str, Json]]]


@dataclass(frozen=True)
class Answer:
    """The choice of the annotators for one sample."""

    choice: str
    label_score: float
    note: str


def read_label_studio(path: Path, run: Run) -> Decisions:
    """The annotations in a file, for the run whose suspects were annotated.

    The given label chosen means keep, another one relabel, "drop / unclear" drop. Tasks that were skipped, or not
    annotated, or submitted without a choice, are undecided. Where annotators disagree, the annotation that is marked as
    ground truth decides.

    Args:
        path: Label Studio's export in the format JSON.
        run: The run.

    Raises:
        InputError: no such file, tasks of another run, samples, classes or choices that this run does not have,
            annotators who disagree, or no decision at all.
    """
    row = {sample_id: i for i, sample_id in enumerate(run.sample_ids.tolist())}
    found: dict[int, Answer] = {}
    for task in _tasks(path):
        data = _of_this_run(task, run, path)
        answer = _answer(task, data, path)
        if answer is None:
            continue
        sample_id = data["sample_id"]
        if sample_id not in row:
            raise _wrong(path, f"sample ids of {run.path}, which has {len(row)} samples", f"{shown(sample_id)}")
        if found.setdefault(sample_id, answer).choice != answer.choice:
            raise _disagree(path, sample_id, {found[sample_id].choice, answer.choice})
    if not found:
        raise _wrong(path, "annotations", "none that chooses a label", "Submit some, and export again.")
    return _decisions(run, np.array(sorted(row[sample_id] for sample_id in found)), found, path)


def _decisions(run: Run, rows: Int[np.ndarray, " row"], found: Mapping[int, Answer], path: Path) -> Decisions:
    answers = [found[sample_id] for sample_id in run.sample_ids[rows].tolist()]
    number = {DROP: -1, **{text: i for i, text in enumerate(choice_texts(run.class_names))}}
    unknown = sorted({answer.choice for answer in answers} - set(number))
    if unknown:
        raise _wrong(
            path, f"choices out of {listed(number)}", listed(unknown), "Annotate with the configuration of the export."
        )
    labels = np.array([number[answer.choice] for answer in answers], dtype=np.int64)
    given = run.labels[rows]
    actions = tuple(
        "drop" if new < 0 else "keep" if new == old else "relabel" for new, old in zip(labels, given, strict=True)
    )
    score, note = [answer.label_score for answer in answers], [answer.note for answer in answers]
    return decisions_of(run, rows, actions, labels, score, note)


def _tasks(path: Path) -> list[Task]:
    try:
        tasks = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise _wrong(path, "tasks", f"{type(error).__name__}: {error}") from error
    if not isinstance(tasks, list) or not all(
        isinstance(task, dict) and isinstance(task.get("data"), dict) and isinstance(task.get("annotations", []), list)
        for task in tasks
    ):
        raise _wrong(path, "a list of tasks with data and annotations", "something else")
    return tasks


def _of_this_run(task: Task, run: Run, path: Path) -> dict[str, Any]:
    """The task's data.

    Raises:
        InputError: it was not exported from this run.
    """
    data = task["data"]
    if "run_id" not in data or "sample_id" not in data:
        raise _wrong(
            path, "tasks with run_id and sample_id in their data", f"{listed(data)}",
            "Annotate tasks that gwa-attrib has exported.",
        )  # fmt: skip
    if data["run_id"] != run.info["run_id"]:
        raise InputError(
            expected=f"annotations of run {run.info['run_id']} ({run.path})",
            found=f"annotations of run {shown(data['run_id'])} in {path}",
            todo="Apply them to the run whose suspects were annotated.",
        )
    return data


def _answer(task: Task, data: Mapping[str, Json], path: Path) -> Answer | None:
    """The choice of the annotators; None if there is none."""
    chosen = [(annotation, choice) for annotation in task.get("annotations", []) for choice in _choices(annotation)]
    truth = [(annotation, choice) for annotation, choice in chosen if annotation.get("ground_truth")]
    chosen = truth or chosen
    if len({choice for _, choice in chosen}) > 1:
        raise _disagree(path, data["sample_id"], {choice for _, choice in chosen})
    if not chosen:
        return None
    annotation, choice = chosen[0]
    score = data.get("label_score")
    number = float(score) if isinstance(score, int | float) else float("nan")
    return Answer(choice, number, f"Label Studio, annotation {annotation.get('id', '')}".removesuffix(" annotation "))


def _choices(annotation: object) -> Iterator[str]:
    if not isinstance(annotation, dict) or annotation.get("was_cancelled"):
        return
    for region in annotation.get("result") or []:
        if isinstance(region, dict) and region.get("from_name") == CONTROL and isinstance(region.get("value"), dict):
            yield from (str(choice) for choice in region["value"].get("choices", []))


def _disagree(path: Path, sample_id: object, choices: set[str]) -> InputError:
    return _wrong(
        path, "one label per sample", f"{listed(sorted(choices))} for sample {shown(sample_id)}",
        "Settle it in Label Studio: mark one annotation as ground truth, or delete the others.",
    )  # fmt: skip


def _wrong(path: Path, expected: str, found: str, todo: str = "") -> InputError:
    return InputError(
        expected=f"{expected} in {path}, Label Studio's export in the format JSON",
        found=found,
        todo=todo or "Export again, in the format JSON.",
    )
