"""Tasks that Label Studio's own package accepts, whatever the classes are called."""

import base64
import io
import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import gwa_attrib as gwa
from gwa_attrib.errors import InputError, NotRecordedError
from gwa_attrib.exporting.label_studio import DROP, choice_texts, labeling_config
from gwa_attrib.store import Run
from tests.exporting.exported_runs import HOSTILE, arrays, audited, image_folder, run_of, table, texts

pytest.importorskip("label_studio_sdk", reason="needs the extra label-studio")


@pytest.fixture(scope="module")
def interface() -> Any:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the package imports says about its own future
        from label_studio_sdk.label_interface import LabelInterface
    return LabelInterface


def read(exported: gwa.Exported) -> tuple[list[dict[str, Any]], str]:
    return json.loads(exported.path.read_text()), exported.also[0].read_text()


def check(interface: Any, tasks: list[dict[str, Any]], config: str) -> Any:
    """By the package: the configuration, each task and each prediction."""
    found = interface(config)
    found.validate()
    for task in tasks:
        assert found.validate_task({"data": task["data"]})
        for prediction in task["predictions"]:
            assert found.validate_prediction(prediction, return_errors=True) == []
    return found


@pytest.mark.parametrize("kind", ["image", "text", "table"])
@pytest.mark.parametrize("names", [HOSTILE, ["0", "1"], [f"class {i}" for i in range(30)]], ids=["hostile", "0", "30"])
def test_the_package_finds_a_choice_for_every_class(interface: Any, kind: Any, names: list[str]) -> None:
    found = interface(labeling_config(kind, tuple(names)))
    found.validate()
    assert found.get_control("label").labels == [*choice_texts(names), DROP]
    assert {control.name for control in found.controls} == {"label"}
    assert {thing.name: thing.value for thing in found.objects} == {"sample": f"${kind}"}


def test_hostile_classes_in_tasks(interface: Any, tmp_path: Path) -> None:
    run = run_of(tmp_path, HOSTILE)
    tasks, config = read(
        gwa.export(run, "label-studio", k=40, data=[f"sample {i}" for i in range(len(run.sample_ids))])
    )
    assert len(tasks) == 40
    check(interface, tasks, config)
    assert "<script>" not in config
    assert config.count("<Choice ") == len(HOSTILE) + 1


@settings(max_examples=25)
@given(names=st.lists(st.text(max_size=4), min_size=1, max_size=6, unique=True))
def test_choices_differ_and_survive_xml(names: list[str]) -> None:
    found = choice_texts(names)
    assert len({*found, DROP}) == len(names) + 1
    from xml.etree import ElementTree

    values = [
        choice.get("value") for choice in ElementTree.fromstring(labeling_config("text", tuple(names))).iter("Choice")
    ]
    assert values == [*found, DROP]
    assert not any("$" in text or text != text.strip() or not text for text in found)


def test_the_package_has_teeth(interface: Any) -> None:
    """A choice that is not in the configuration, and a task without its picture, do not pass."""
    found = interface(labeling_config("image", ("cat", "dog")))
    region = {"from_name": "label", "to_name": "sample", "type": "choices", "value": {"choices": ["cow"]}}
    assert not found.validate_prediction({"result": [region], "score": 0.5})
    assert not found.validate_task({"data": {"text": "x"}})


def test_plain_names_stay_and_equal_ones_are_refused() -> None:
    assert choice_texts(["cat", "a&b", "<i>", 'say "x"']) == ("cat", "a&b", "<i>", 'say "x"')
    assert choice_texts(["a ", "a", "a (2)"]) == ("a (3)", "a", "a (2)")
    with pytest.raises(InputError, match="'a' twice"):
        choice_texts(["a", "b", "a"])


def test_suspects_come_worst_first_with_what_is_proposed(interface: Any, tmp_path: Path) -> None:
    run = run_of(tmp_path, ["cat", "dog", "bird"])
    frame = gwa.rank(run).to_frame()
    suspects = frame[frame["is_label_issue"]].sort_values("label_score")
    tasks, config = read(gwa.export(run, "label-studio", data=[f"text {i}" for i in range(60)]))
    check(interface, tasks, config)
    assert [task["data"]["sample_id"] for task in tasks] == suspects.index.tolist()
    for task, (sample_id, facts) in zip(tasks, suspects.iterrows(), strict=True):
        (prediction,) = task["predictions"]
        assert prediction["result"][0]["value"] == {"choices": [facts["predicted_label"]]}
        assert prediction["score"] == pytest.approx(1.0 - facts["label_score"])
        assert run.info["run_id"] in prediction["model_version"]
        assert task["data"]["text"] == f"text {sample_id}"
        assert task["data"]["run_id"] == run.info["run_id"]
        expected = {"sample_id": sample_id, "key": facts["key"], "given_label": facts["given_label"],
                    "label_score": pytest.approx(facts["label_score"]), "rank": facts["rank"]}  # fmt: skip
        assert task["meta"] == expected


def test_a_proposal_of_the_given_label_has_its_score(tmp_path: Path) -> None:
    run = run_of(tmp_path, ["cat", "dog", "bird"])
    tasks, _ = read(gwa.export(run, "label-studio", k=1000, data=["x"] * 60))
    assert len(tasks) == 60
    calm = [
        task
        for task in tasks
        if task["predictions"][0]["result"][0]["value"]["choices"] == [task["data"]["given_label"]]
    ]
    assert len(calm) >= 40
    assert all(task["predictions"][0]["score"] == task["data"]["label_score"] for task in calm)


def test_files_of_a_folder_are_addressed(interface: Any, tmp_path: Path) -> None:
    source = image_folder(tmp_path / "photos", ["cat & co", "dog"])
    run = audited(tmp_path, source)
    tasks, config = read(gwa.export(run, "label-studio", k=5))
    check(interface, tasks, config)
    for task in tasks:
        before, path = task["data"]["image"].split("?d=")
        assert before == "/data/local-files/"
        assert Path("/" + unquote_to_bytes(path).decode()) == source.absolute() / task["data"]["key"]
        assert not set(path) & set(" #&?")
    for prefix in ("http://localhost:8000/p", "http://localhost:8000/p/"):
        tasks, _ = read(gwa.export(run, "label-studio", k=5, url_prefix=prefix))
        address = tasks[0]["data"]["image"].removeprefix("http://localhost:8000/p/")
        assert unquote_to_bytes(address).decode() == tasks[0]["data"]["key"]


def test_arrays_are_inside_the_tasks_or_beside_them(interface: Any, tmp_path: Path) -> None:
    source = arrays(tmp_path / "a.npz")
    pixels = np.load(source)["X"]
    run = audited(tmp_path, source)
    tasks, config = read(gwa.export(run, "label-studio", k=3))
    check(interface, tasks, config)
    for task in tasks:
        png = base64.b64decode(task["data"]["image"].removeprefix("data:image/png;base64,"))
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png))), pixels[task["data"]["sample_id"]])
    written = gwa.export(run, "label-studio", tmp_path / "t.json", k=3, url_prefix="http://host")
    tasks, _ = read(written)
    assert written.also[1] == tmp_path / "t-images"
    for task in tasks:
        assert task["data"]["image"].startswith("http://host/")
        image = Image.open(tmp_path / "t-images" / task["data"]["image"].removeprefix("http://host/"))
        np.testing.assert_array_equal(np.asarray(image), pixels[task["data"]["sample_id"]])


def test_texts_and_tables_are_shown_as_they_are(interface: Any, tmp_path: Path) -> None:
    for name, make in {"text": texts, "table": table}.items():
        (tmp_path / name).mkdir()
        run = audited(tmp_path / name, make(tmp_path / name / "d.csv"))
        tasks, config = read(gwa.export(run, "label-studio", k=40))
        check(interface, tasks, config)
        shown = {task["data"]["sample_id"]: task["data"][name] for task in tasks}
        if name == "text":
            assert shown[0].startswith('<b>bold</b> & "quoted"')
            assert 'valueType="text"' in config  # an address is a text, not something to fetch
        else:
            assert shown[3] == {"<height>": "", "sex": "m"}
            assert all(isinstance(value, str) for row in shown.values() for value in row.values())
        with pytest.raises(InputError, match="prefix of their addresses"):
            gwa.export(run, "label-studio", k=3, url_prefix="http://host")


def test_without_suspects_k_has_to_be_said(tmp_path: Path) -> None:
    run = run_of(tmp_path, ["cat", "dog", "bird"], flipped=0)
    assert not gwa.rank(run).columns["is_label_issue"].any()
    with pytest.raises(InputError, match="no suspect among 60 samples"):
        gwa.export(run, "label-studio", data=["x"] * 60)
    assert not (tmp_path / "run" / "exports").exists()
    assert gwa.export(run, "label-studio", k=2, data=["x"] * 60).samples == 2


def test_samples_that_were_never_seen_are_left_out(tmp_path: Path) -> None:
    seen = [np.delete(np.arange(60), 7)] * 6
    run = run_of(tmp_path, ["cat", "dog", "bird"], seen=seen)
    tasks, _ = read(gwa.export(run, "label-studio", k=1000, data=["x"] * 60))
    assert {task["data"]["sample_id"] for task in tasks} == {*range(60)} - {7}


def test_without_a_proposal_there_is_no_prediction(interface: Any, tmp_path: Path) -> None:
    from dataclasses import replace

    run = run_of(tmp_path, ["cat", "dog", "bird"])
    scores = gwa.rank(run)
    nothing = np.full(60, None, dtype=object)
    scores = replace(scores, columns={**scores.columns, "predicted_label": nothing})
    tasks, config = read(gwa.export(run, "label-studio", data=["x"] * 60, scores=scores))
    check(interface, tasks, config)
    assert all(task["predictions"] == [] for task in tasks)


def test_data_that_cannot_be_shown_is_refused(tmp_path: Path) -> None:
    run: Run = run_of(tmp_path, ["cat", "dog", "bird"])
    with pytest.raises(NotRecordedError, match="a run that no audit made"):
        gwa.export(run, "label-studio")
    with pytest.raises(InputError, match="one of 10 samples"):
        gwa.export(run, "label-studio", data=["x"] * 10)
    with pytest.raises(InputError, match="a dict"):
        gwa.export(run, "label-studio", data=[{}] * 60)
    with pytest.raises(InputError, match="of one kind"):
        gwa.export(run, "label-studio", k=60, data=[np.zeros(3), "x"] * 30)
    with pytest.raises(InputError, match="json"):
        gwa.export(run, "label-studio", tmp_path / "tasks.csv", data=["x"] * 60)
