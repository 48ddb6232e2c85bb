"""A folder that FiftyOne imports, written without FiftyOne, which needs a database.

It is FiftyOne's own format of data sets on disk, in the form that its importer takes where ``metadata.json`` has no
``version``: ``samples.json`` with one object a sample, labels as objects with their class in ``_cls``, and file names
relative to the folder or absolute.
"""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from gwa_attrib.errors import InputError
from gwa_attrib.exporting.contents import Contents, contents_of, plain
from gwa_attrib.exporting.registry import Exported, exports
from gwa_attrib.exporting.request import Request
from gwa_attrib.files.whole import whole_folder


@exports.register("fiftyone", source="FiftyOne 1.22, FiftyOneDataset")
def to_fiftyone(request: Request) -> Exported:
    """A folder for fiftyone.Dataset.from_dir: images with their labels, scores, and the tag "suspect".

    Images of a folder stay where they are; others are written as PNG files.
    """
    frame = request.every_sample()
    if not len(frame):
        raise InputError(expected="samples to export to fiftyone", found="none", todo="Record an epoch.")
    contents = contents_of(request.data, frame.index.tolist())
    if contents.kind != "image":
        raise InputError(
            expected="images for fiftyone",
            found=f"samples of the kind {contents.kind}",
            todo="Export to csv or parquet.",
        )
    path = request.place("fiftyone")
    with whole_folder(path) as half:
        half.mkdir()
        rows = fiftyone_samples(frame, _files(contents, frame, half))
        info = {"run_id": request.run.info["run_id"], "method": request.scores.method}
        metadata = {"media_type": "image", "default_classes": [plain(n) for n in request.run.class_names], "info": info}
        _write_json(half / "metadata.json", metadata)
        _write_json(half / "samples.json", {"samples": rows})
    return Exported(request.to, path, len(rows))


def fiftyone_samples(frame: pd.DataFrame, files: dict[int, str]) -> list[dict[str, object]]:
    """Make a plain object of each sample, as ``fiftyone.Sample.from_dict`` takes it.

    Args:
        frame: ``rank(run, "mislabeled").to_frame()``, or rows of it; indexed by sample id.
        files: The image of each of its samples.
    """
    rows = []
    for sample_id, facts in frame.to_dict(orient="index").items():
        score = None if pd.isna(facts["label_score"]) else float(facts["label_score"])
        given, proposed = _name(facts["given_label"]), _name(facts["predicted_label"])
        right = score if score is None or proposed == given else 1.0 - score
        rows.append({
            "filepath": files[sample_id],  # type: ignore[index]
            "tags": ["suspect"] if facts["is_label_issue"] else [],
            "_media_type": "image",
            "run_sample_id": int(sample_id),  # type: ignore[call-overload]
            "key": plain(str(facts["key"])),
            "given_label": _classification(given, None),
            "predicted_label": _classification(proposed, right),
            "label_score": score,
            "rank": float(facts["rank"]),
        })  # fmt: skip
    return rows


def _name(label: Any) -> str | None:
    return None if pd.isna(label) else plain(str(label))


def _classification(label: str | None, confidence: float | None) -> dict[str, str | float] | None:
    if label is None:
        return None
    return {"_cls": "Classification", "label": label, **({} if confidence is None else {"confidence": confidence})}


def _files(contents: Contents, frame: pd.DataFrame, folder: Path) -> dict[int, str]:
    """Absolute names of files that are there, or names within the folder of those that are written now."""
    if contents.files:
        return {i: str(contents.files[i].absolute()) for i in frame.index}
    (folder / "data").mkdir()
    names = {i: f"data/{i}.png" for i in frame.index}
    for sample_id, name in names.items():
        (folder / name).write_bytes(contents.png(sample_id))
    return names


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1, allow_nan=False), encoding="utf-8")
