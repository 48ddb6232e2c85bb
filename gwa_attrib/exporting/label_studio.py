"""Tasks for Label Studio, in which people look at the suspects: see `gwa_attrib.cleaning.label_studio` for the way
back."""

import base64
import json
import os
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree

import pandas as pd

from gwa_attrib._version import __version__
from gwa_attrib.datasets.messages import printable, shown
from gwa_attrib.errors import InputError
from gwa_attrib.exporting.contents import Contents, Kind, contents_of, plain
from gwa_attrib.exporting.registry import Exported, exports
from gwa_attrib.exporting.request import Request
from gwa_attrib.files.whole import whole_folder, write_text
from gwa_attrib.store.kept import kept_tokenizer

DROP = "drop / unclear"
"""The choice for a sample that should leave the data set."""


def choice_texts(class_names: Sequence[str]) -> tuple[str, ...]:
    """A text for each class that survives XML, a browser and Label Studio, and that no other class has.

    Plain names stay as they are. Otherwise control characters are escaped, outer spaces are cut, and a dollar sign,
    with which Label Studio begins the name of a column of the task, is written in full width. Names that are alike
    after this get a number, in the order of the classes, so that the same names always give the same texts.

    Raises:
        InputError: two classes have the same name.
    """
    if len(set(class_names)) < len(class_names):
        twice = next(name for name in class_names if list(class_names).count(name) > 1)
        raise InputError(
            expected="class names that differ", found=f"{shown(twice)} twice", todo="Record the run with other names."
        )
    texts = [_shown(name) for name in class_names]
    own = {name for name, text in zip(class_names, texts, strict=True) if name == text != DROP}
    taken = {DROP, *own}
    for i, (name, text) in enumerate(zip(class_names, texts, strict=True)):
        if name not in own:
            free = (f"{text} ({number})" for number in count(2))
            texts[i] = text if text not in taken else next(other for other in free if other not in taken)
            taken.add(texts[i])
    return tuple(texts)


def _shown(name: str) -> str:
    return printable(name).strip().replace("$", "＄") or "(empty)"


CONTROL, OBJECT = "label", "sample"
"""Names of the choices and of what is looked at, in the labeling configuration."""
MOST_BUTTONS = 20
"""Classes; more of them become a list to choose from."""


@exports.register("label-studio", source="Label Studio 1.x task format; label-studio-sdk 2.0")
def to_label_studio(request: Request) -> Exported:
    """Tasks (JSON) with the proposed labels as predictions, and the labeling configuration (XML) for them.

    The XML file has the name of the tasks. A prediction's score is `label_score` where the given label is proposed,
    else one minus it. Images of a folder are addressed as Label Studio's local files; others are inside the tasks. With
    a prefix of addresses they are expected there, and what is no file yet is written to a folder of PNG files beside
    the tasks.
    """
    path = request.place("label-studio.json")
    if path.suffix != ".json":
        raise InputError(expected="a file name that ends in .json", found=str(path), todo="Name one.")
    frame = request.suspects()
    contents = contents_of(request.data, frame.index.tolist(), tokenizer=kept_tokenizer(request.run))
    if contents.kind != "image" and request.url_prefix is not None:
        raise InputError(
            expected="images, for a prefix of their addresses",
            found=f"samples of the kind {contents.kind}",
            todo="Leave the prefix out: the samples are inside the tasks.",
        )
    config = path.with_suffix(".xml")
    images = _written_images(request, contents, frame, path)
    tasks = _tasks(request, frame, _shown_as(request, contents))
    write_text(config, labeling_config(contents.kind, request.run.class_names))
    # After the configuration: whoever finds tasks finds what they are annotated with.
    write_text(path, json.dumps(tasks, indent=1, allow_nan=False))
    return Exported(request.to, path, len(tasks), (config, *images))


def labeling_config(kind: Kind, class_names: tuple[str, ...]) -> str:
    """XML for Label Studio: the sample, its given label, and a choice for each class and for none."""
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Header", value="Given label: $given_label", size="5")
    tags = {"image": ("Image", {"smoothing": "false"}), "text": ("Text", {"valueType": "text"}), "table": ("Table", {})}
    tag, settings = tags[kind]
    ElementTree.SubElement(view, tag, {"name": OBJECT, "value": f"${kind}", **settings})
    layout = {"layout": "select"} if len(class_names) > MOST_BUTTONS else {"showInline": "true"}
    choices = ElementTree.SubElement(view, "Choices", {"name": CONTROL, "toName": OBJECT, "choice": "single", **layout})
    for text in (*choice_texts(class_names), DROP):
        ElementTree.SubElement(choices, "Choice", value=text)
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="unicode") + "\n"


def _tasks(request: Request, frame: pd.DataFrame, show: Callable[[int], dict[str, object]]) -> list[dict[str, object]]:
    names = request.run.class_names
    text = dict(zip(names, choice_texts(names), strict=True))
    model = f"gwa_attrib {__version__} {request.scores.method} {request.run.info['run_id']}"
    tasks: list[dict[str, object]] = []
    for sample_id, facts in frame.iterrows():
        given, proposed, score = facts["given_label"], facts["predicted_label"], float(facts["label_score"])
        meta = {
            "sample_id": int(sample_id),  # type: ignore[call-overload]
            "key": plain(str(facts["key"])),
            "given_label": text[given],
            "label_score": score,
            "rank": float(facts["rank"]),
        }
        data = {**show(meta["sample_id"]), **meta, "run_id": request.run.info["run_id"]}
        right = score if proposed == given else 1.0 - score
        predictions = [] if pd.isna(proposed) else [_prediction(text[proposed], right, model)]
        tasks.append({"data": data, "meta": meta, "predictions": predictions})
    return tasks


def _prediction(choice: str, score: float, model: str) -> dict[str, object]:
    region = {"from_name": CONTROL, "to_name": OBJECT, "type": "choices", "value": {"choices": [choice]}}
    return {"model_version": model, "score": score, "result": [region]}


def _shown_as(request: Request, contents: Contents) -> Callable[[int], dict[str, object]]:
    """The part of a task that shows the sample."""
    if contents.kind != "image":
        return lambda i: {contents.kind: contents.read(i)}
    prefix = request.url_prefix
    if prefix is None and contents.files:
        return lambda i: {"image": "/data/local-files/?d=" + quote(_absolute(contents.files[i]))}
    if prefix is None:
        return lambda i: {"image": f"data:image/png;base64,{base64.b64encode(contents.png(i)).decode('ascii')}"}
    prefix = prefix if prefix.endswith(("/", "=")) else prefix + "/"
    if contents.files:
        return lambda i: {"image": prefix + quote(contents.address(i))}
    return lambda i: {"image": f"{prefix}{i}.png"}


def _absolute(file: Path) -> bytes:
    """Name a file below the root of the file system, Label Studio's root of local files unless it is told another."""
    return os.fsencode(file.absolute().as_posix().lstrip("/"))


def _written_images(request: Request, contents: Contents, frame: pd.DataFrame, path: Path) -> tuple[Path, ...]:
    """PNG files of pictures that are no files yet, to be served from the prefix."""
    if contents.kind != "image" or contents.files or request.url_prefix is None:
        return ()
    folder = path.with_name(f"{path.stem}-images")
    with whole_folder(folder) as half:
        half.mkdir()
        for sample_id in frame.index:
            (half / f"{sample_id}.png").write_bytes(contents.png(sample_id))
    return (folder,)
