"""The main job as one function: data in, a classifier trained with recording, samples ranked, a report to act on."""

import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor, nn

from gwa_attrib.analyses import rank
from gwa_attrib.analyses.expected_errors import expected_steps
from gwa_attrib.auditing.models import build_model
from gwa_attrib.auditing.training import Plan, estimate, fit, head_features, plan_for, seeded
from gwa_attrib.datasets import LabeledData, embed, encode, load
from gwa_attrib.datasets.encoding.inputs import text_encoder
from gwa_attrib.datasets.flip import BEFORE_FLIP, flip_labels, known_look_alikes, look_alikes
from gwa_attrib.display.progress import note, stage
from gwa_attrib.evaluation import score_against, verified_labels
from gwa_attrib.exporting.contents import plain
from gwa_attrib.exporting.issues import write_issues
from gwa_attrib.files.places import local
from gwa_attrib.neighbours import near_duplicates
from gwa_attrib.reporting import report
from gwa_attrib.reporting.suspects.judged import judged_suspects
from gwa_attrib.store import open_run
from gwa_attrib.store.kept import keep_duplicates, keep_embeddings, keep_features

NOT_LEARNT = ("class", "samples", "suspects", "recall", "steady")
"""Columns that are told of a class that the training has not learnt."""


@dataclass(frozen=True)
class AuditResult:
    """The findings of an audit, as ``gwa-attrib audit --json`` prints them."""

    run: str
    """Folder of the run, with issues.parquet, issues.csv and the report in it."""
    samples: int
    classes: int
    epochs: int
    seconds: float
    suspects: int
    """Samples flagged as `is_label_issue`."""
    estimated_errors: dict[str, int]
    """`count`, `low`, `high`."""
    report: str
    truth: dict[str, float] | None
    """How well the suspects meet the verified labels; None where there are none."""
    skipped: list[dict[str, object]]
    """The files that were left out: `file`, `reason`, and whether it is `damaged` (it was to be a sample, and could not
    be read) or no sample at all; the damaged first."""
    roles: list[str]
    """The role that each column of a table was given: label, inputs, key; empty for pictures and arrays."""
    not_learnt: list[dict[str, object]]
    """Classes that the training has not learnt, whose suspects say nothing about the labels: `class`, `samples`,
    `suspects`, `recall` and `steady`, see `gwa_attrib.analyses.learnt`."""
    expected: list[dict[str, int]]
    """How many of the `first` suspects are expected to be `wrong`, between `low` and `high`; suspects of classes that
    were not learnt are left out. See `gwa_attrib.analyses.expected_errors`."""

    def to_dict(self) -> dict[str, object]:
        """Plain values; NaN as None."""
        return {k: _without_nan(v) for k, v in asdict(self).items()}


def audit(
    data: str | Path | LabeledData,
    out: str | Path,
    *,
    epochs: int | None = None,
    budget: Literal["fast", "normal", "thorough"] = "normal",
    model: str = "auto",
    seed: int = 0,
    label_column: str | None = None,
    truth: str | None = None,
    flip: float = 0.0,
    flip_kind: Literal["symmetric", "pairs"] = "symmetric",
    limit: int | None = None,
    strict: bool = False,
    overwrite: bool = False,
) -> AuditResult:
    """Audit the labels of a data set: train once with recording, rank, and write a report.

    Args:
        data: "digits", "fashion-mnist", an .npz, a folder of class folders, a .csv or .parquet; or `LabeledData`.
        out: Folder for the run, new or empty.
        epochs: Overrides the number of epochs of the budget.
        budget: Width of the model and length of the training: "fast", "normal" or "thorough".
        model: "auto", or "module:factory" for ``factory(input_shape, num_classes)``.
        seed: Of the weights, the order of the samples, the augmentation and the flips.
        label_column: Column or array with the labels.
        truth: Column or array with verified labels: used to score the ranking, never to make it.
        flip: Share of the labels to corrupt, to see how well they are found again.
        flip_kind: "symmetric": any other class; "pairs": the class that looks most alike.
        limit: Use only the first so many samples.
        strict: Refuse a data set with unreadable files instead of leaving them out.
        overwrite: Replace an earlier run in `out`.

    Raises:
        InputError: the data or an argument is not what it has to be; nothing was written.
        RunExistsError: `out` is taken.
    """
    began = time.perf_counter()

    exclude = (truth,) if truth else ()
    target = local(out, "the folder of an audit")
    with stage("reading"):
        given = (
            data
            if isinstance(data, LabeledData)
            else load(data, label_column=label_column, strict=strict, limit=limit, exclude=exclude)
        )
        verified = verified_labels(given.columns, truth, given.class_names) if truth else None
        embedded = embed(given)
        inputs = encode(given, embedded)
    if flip:
        verified = given.labels if verified is None else verified
        given = flip_some(given, inputs, flip, flip_kind, seed)
    plan = plan_for(given.kind, tuple(inputs.shape[1:]), len(given), budget, epochs)
    settings = {"label_column": label_column, "truth": truth, "limit": limit, "flip": flip, "flip_kind": flip_kind}
    # All that is needed to read the same data and to train the same model again, by `compare` and `verify`.
    config = {**source_of(given), **settings, "seed": seed, "budget": budget, "model": model, "plan": asdict(plan)}
    path = train(given, inputs, plan, target, config, overwrite=overwrite)
    if embedded is not None:
        keep_embeddings(path, embedded)
    return conclude(path, given, verified, began)


def flip_some(
    data: LabeledData, inputs: Tensor, rate: float, kind: Literal["symmetric", "pairs"], seed: int
) -> LabeledData:
    """The data set with a share of its labels changed; the column `label_before_flip` names the classes before that."""

    pairs = None
    if kind == "pairs":
        pairs = known_look_alikes(data.class_names) or look_alikes(inputs, data.labels)
    labels, _ = flip_labels(data.labels, len(data.class_names), rate, kind, seed, pairs)
    return replace(
        data, labels=labels, columns={**data.columns, BEFORE_FLIP: np.asarray(data.class_names)[data.labels]}
    )


def source_of(data: LabeledData) -> dict[str, object]:
    """Note what is needed to read the same data again, and to know that it is the same."""

    encoder = {"text_encoder": text_encoder()} if data.kind == "text" else {}
    return {
        **encoder,
        "data": data.source,
        "name": data.name,
        "kind": data.kind,
        "fingerprint": data.fingerprint(),
        "skipped": [str(one) for one in data.skipped],
        "damaged": sum(one.damaged for one in data.skipped),
        **({"roles": list(data.roles)} if data.roles else {}),
    }


def stored_columns(columns: Mapping[str, object]) -> dict[str, object]:
    """The columns under names that the run does not use itself: a column `label` is stored as `extra_label`."""
    stored: dict[str, object] = {}
    for name, values in columns.items():
        while name in ("sample_id", "key", "label") or name in stored:
            name = f"extra_{name}"
        stored[name] = values
    return stored


def train(
    data: LabeledData, inputs: Tensor, plan: Plan, path: Path, config: Mapping[str, Any], *, overwrite: bool
) -> Path:
    """Train the configured model on the data and record it; the folder of the run."""

    def tell(first: float) -> None:
        note(estimate(first, plan, data.kind, shape, len(data), config["budget"]))

    with seeded(config["seed"]):
        shape = tuple(inputs.shape[1:])
        model = build_model(config["model"], data.kind, shape, len(data.class_names), plan.width)
        recorder = fit(
            model,
            inputs,
            torch.from_numpy(data.labels),
            plan,
            path,
            seed=config["seed"],
            told=tell,
            class_names=data.class_names,
            keys=data.keys,
            columns=stored_columns(data.columns),
            config=config,
            overwrite=overwrite,
        )
    keep_neighbourhood(recorder.path, model, recorder.head or "", inputs)
    return recorder.path


def keep_neighbourhood(path: Path, model: nn.Module, head: str, inputs: Tensor) -> None:
    """Beside the run: features under the head of the trained model, and near-duplicates of what goes into it."""

    with stage("looking for duplicates"):
        keep_features(path, head_features(model, head, inputs))
        keep_duplicates(path, near_duplicates(inputs.numpy()).pairs)


def conclude(path: Path, data: LabeledData, verified: Int[np.ndarray, " sample"] | None, began: float) -> AuditResult:
    """Rank the samples of the finished run, score the ranking if the truth is known, and write tables and report."""

    run = open_run(path)
    with stage("ranking"):
        scores = rank(run, "mislabeled")
        write_issues(scores, path, [plain(str(text)) for text in data.inputs] if data.kind == "text" else None)
    truth = None if verified is None else score_against(scores, data.labels, verified)
    with stage("writing the report"):
        page = report(run, data=data, scores=scores, truth=truth)
    suspects, classes = judged_suspects(run, scores)
    failed = classes[~classes["learnt"]].reset_index()
    return AuditResult(
        run=str(path),
        samples=len(data),
        classes=len(data.class_names),
        epochs=len(run.epoch_numbers),
        seconds=round(time.perf_counter() - began, 3),
        suspects=int(scores.columns["is_label_issue"].sum()),
        estimated_errors=dict(scores.meta["estimated_errors"]),
        report=str(page),
        truth=truth,
        skipped=[{"file": one.path, "reason": one.reason, "damaged": one.damaged} for one in data.skipped],
        roles=list(data.roles),
        not_learnt=[{name: row[name] for name in NOT_LEARNT} for row in failed.to_dict(orient="records")],
        expected=[vars(one) for one in expected_steps(suspects.label_score[~suspects.doubtful])],
    )


def _without_nan(value: object) -> object:
    if isinstance(value, dict):
        return {k: _without_nan(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_without_nan(v) for v in value]
    return None if isinstance(value, float) and math.isnan(value) else value
