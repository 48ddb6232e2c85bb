"""What a sample is: picture, text, values and label, out of the forms that data sets have."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, Subset, TensorDataset

from gwa_attrib.datasets import LabeledData, load
from gwa_attrib.datasets.content import Content, class_names_of, content_reader, label_reader
from gwa_attrib.datasets.items import UNDECODED

COLOUR = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)
FIRST = torch.from_numpy(COLOUR).permute(2, 0, 1)


def of(item: Any, tokenizer: Any = None) -> Content:
    return content_reader([item], tokenizer=tokenizer)(0)


def pixels(content: Content) -> np.ndarray:
    assert content.picture is not None, content
    return np.asarray(content.picture)


class Words:
    """Decodes as tokenizers do: special tokens can be skipped."""

    def decode(self, ids: list[int], skip_special_tokens: bool = False) -> str:
        assert all(type(i) is int for i in ids)
        return " ".join(f"w{i}" for i in ids if i > 1 or not skip_special_tokens)


@pytest.mark.parametrize(
    "item",
    [
        Image.fromarray(COLOUR),
        (FIRST, 1),
        (FIRST, 1, "more"),
        [COLOUR, 1],
        {"picture of mine": Image.fromarray(COLOUR), "label": 1},
        {"pixel_values": FIRST, "labels": torch.tensor(1)},
        {"pixel_values": FIRST.numpy(), "labels": 1},
        {"pixel_values": FIRST.tolist(), "labels": 1},
        {"image": COLOUR, "y": 1},
        ({"pixel_values": FIRST / 255}, 1),
    ],
)
def test_pictures(item: Any) -> None:
    found = of(item)
    assert found.missing is None
    assert found.picture.size == (8, 6)
    if isinstance(item, dict) and isinstance(item.get("pixel_values"), list):
        shown = pixels(found).astype(float)  # lists have lost their type: whole numbers, stretched over their range
        assert np.corrcoef(shown.ravel(), COLOUR.ravel())[0, 1] > 0.999
    else:
        np.testing.assert_array_equal(pixels(found), COLOUR)


@pytest.mark.parametrize(
    ("item", "text"),
    [
        ("hello", "hello"),
        (("hello\nworld", 0), "hello\nworld"),
        ({"sentence": "hello", "label": 1, "input_ids": [5, 6]}, "hello"),
        ({"premise": "a", "hypothesis": "b", "label": 1, "idx": 3}, "premise: a\nhypothesis: b"),
        ({"input_ids": [0, 5, 6, 1, 7], "attention_mask": [1, 1, 1, 1, 0], "labels": 1}, "w5 w6"),
        (
            {"input_ids": torch.tensor([0, 5, 6, 1, 7]), "attention_mask": torch.tensor([1, 1, 1, 1, 0]), "labels": 1},
            "w5 w6",
        ),
        ({"input_ids": torch.tensor([0, 5, 6, 1]), "labels": 1}, "w5 w6"),
        ((torch.tensor([0, 5, 6, 1]), 1), "w5 w6"),
        ({"input_ids": np.array([[0, 5, 6]]), "labels": 1}, "w5 w6"),
    ],
)
def test_texts(item: Any, text: str) -> None:
    assert of(item, Words()).text == text


def test_a_picture_and_its_text() -> None:
    found = of({"image": Image.fromarray(COLOUR), "caption": "a cat", "label": "cat"})
    np.testing.assert_array_equal(pixels(found), COLOUR)
    assert (found.text, found.label) == ("a cat", "cat")


def test_tokens_without_a_tokenizer_say_what_to_do() -> None:
    assert of({"input_ids": [1, 2], "labels": 1}) == Content(missing=UNDECODED, label="1", number=1)


@pytest.mark.parametrize(
    ("item", "values"),
    [
        (np.array([0.5, -1.0]), {"1": 0.5, "2": -1.0}),
        ((torch.tensor([0.5, -1.0]), 1), {"1": 0.5, "2": -1.0}),
        ({"x": torch.tensor([0.5, -1.0]), "y": 1}, {"1": 0.5, "2": -1.0}),
        ({"x": [0.5, -1.0], "y": 1}, {"1": 0.5, "2": -1.0}),
        ({"age": 3, "height": torch.tensor(1.5), "sample_id": 7, "target": 1}, {"age": 3, "height": 1.5}),
    ],
)
def test_values(item: Any, values: dict[str, Any]) -> None:
    assert dict(of(item).values or {}) == values


@pytest.mark.parametrize(
    ("y", "label", "number"),
    [
        (3, "3", 3),
        (np.int64(3), "3", 3),
        (np.array(3), "3", 3),
        (torch.tensor(3), "3", 3),
        (torch.tensor([3]), "3", 3),
        (torch.tensor([[3.0]]), "3", 3),
        ([3], "3", 3),
        (np.float32(3), "3", 3),
        (True, "1", 1),
        ("cat", "cat", None),
        (np.str_("cat"), "cat", None),
        (-1, None, None),
        (-100, None, None),
        (0.5, None, None),
        (float("nan"), None, None),
        (float("inf"), None, None),
        (torch.tensor([0.5, 0.5]), None, None),
        (None, None, None),
        ({"boxes": 1}, None, None),
        ([[1], [2, 3]], None, None),
    ],
)
def test_labels(y: Any, label: str | None, number: int | None) -> None:
    assert (of(("text", y)).label, of(("text", y)).number) == (label, number)
    assert label_reader([("text", y)])(0) == (number, label)
    for name in ("label", "labels", "label_ids", "target", "y"):
        assert of({"text": "t", name: y}).label == label


def test_of_a_name_and_a_number_the_number_is_trained_on() -> None:
    found = of({"text": "t", "label": "cat", "labels": 3})
    assert (found.label, found.number) == ("3", 3)


def test_items_without_labels_have_none() -> None:
    assert content_reader(["one", "two"])(1) == Content(text="two")
    assert content_reader(COLOUR[None])(0).label is None


def test_hugging_face_data_sets_name_their_classes() -> None:
    datasets = pytest.importorskip("datasets")
    from gwa_attrib.integrations.transformers import with_sample_ids

    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"]), "n": datasets.Value("int64")}
    )
    table = {"image": [Image.fromarray(COLOUR)] * 3, "label": [0, 1, -1], "n": [1, 2, 3]}
    data = datasets.Dataset.from_dict(table, features=features)
    renamed = data.with_transform(lambda batch: {"pixel_values": [FIRST] * len(batch["n"]), "labels": batch["label"]})
    for form in (data, data.with_format("torch"), data.with_format("numpy"), with_sample_ids(data), renamed):
        read = content_reader(form)
        np.testing.assert_array_equal(pixels(read(1)), COLOUR)
        assert [read(i).label for i in range(3)] == ["cat", "dog", None]
        assert [read(i).number for i in range(3)] == [0, 1, None]
        assert class_names_of(form) == ["cat", "dog"]
    within: Any = with_sample_ids(Subset(data, [1, 0]))
    assert [content_reader(within)(i).label for i in range(2)] == ["dog", "cat"]
    assert class_names_of([1]) is None
    assert class_names_of(datasets.Dataset.from_dict({"label": [0]})) is None


class Broken(Dataset[Any]):
    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Any:
        raise OSError("/home/me/secret.png")


class CutOff(Broken):
    """A picture that PIL opens, and cannot decode when it is looked at."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __getitem__(self, index: int) -> Any:
        return Image.open(io.BytesIO(self.file.read_bytes())), 1


def test_what_the_data_set_raises_is_said(tmp_path: Path) -> None:
    assert content_reader(Broken())(1) == Content(missing="could not be read: OSError")
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:4000])
    data = CutOff(tmp_path / "a.png")
    assert content_reader(data)(0).missing == "could not be read: OSError"


@pytest.mark.parametrize(
    ("x", "why"),
    [
        (torch.zeros(2, 3, 4, 5), "an array of shape [2, 3, 4, 5]"),
        (np.array(["a"]), "no picture or text, but a ndarray"),
        (torch.tensor(1.0), "an array of shape []"),
        (None, "no picture or text, but a NoneType"),
        ({"z": None}, "no picture or text, but a dict with 'z'"),
    ],
)
def test_what_cannot_be_shown_says_so(x: Any, why: str) -> None:
    assert of((x, 1)) == Content(missing=why, label="1", number=1)


def test_tensor_data_sets() -> None:
    found = content_reader(TensorDataset(FIRST[None], torch.tensor([2])))(0)
    np.testing.assert_array_equal(pixels(found), COLOUR)
    assert found.label == "2"


def test_tables_and_texts_of_audits() -> None:
    names, labels, keys = ("no", "yes"), np.array([0, 1]), ("0", "1")
    frame = pd.DataFrame({"age": [1.5, np.nan], "sex": ["f", "m"]})
    found = content_reader(LabeledData("n", "s", "table", frame, labels, names, keys))(0)
    assert (dict(found.values or {}), found.label, found.number) == ({"age": 1.5, "sex": "f"}, "no", 0)
    texts = np.array(["a\nb", "<b>"], dtype=object)
    found = content_reader(LabeledData("n", "s", "text", texts, labels, names, keys))(1)
    assert (found.text, found.label) == ("<b>", "yes")
    unseen = content_reader(LabeledData("n", "s", "text", texts, np.array([0, -1]), names, keys))(1)
    assert (unseen.text, unseen.label, unseen.number) == ("<b>", None, None)
    dim = np.full((2, 4, 4, 1), 3.4, dtype=np.float32)
    found = content_reader(LabeledData("n", "s", "image", dim, labels, names, keys))(1)
    assert (pixels(found) == 3).all()


def folder_of_photos(root: Path) -> Path:
    """Two classes; the first photo of each is large, turned by EXIF, and half red."""
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
        turned = Image.new("RGB", (300, 200), "blue")
        turned.paste("red", (0, 0, 150, 200))
        exif = Image.Exif()
        exif[0x0112] = 6  # to be turned by 90 degrees, clockwise
        turned.save(root / name / "0.jpg", exif=exif, quality=95)
        Image.new("L", (90, 90), 77).save(root / name / "1.png")
    return root


def test_pictures_of_a_folder_are_those_in_its_files(tmp_path: Path) -> None:
    data = load(folder_of_photos(tmp_path / "photos"))
    read = content_reader(data)
    assert data.inputs.shape[1] <= 64
    found = read(0)
    assert found.picture.size == (200, 300)
    assert found.picture.getpixel((100, 30))[0] > 200, "red is at the top when the photo is turned"
    assert found.label == "cat"
    assert read(1).picture.size == (90, 90)
    assert (read(1).picture.mode, read(1).picture.getpixel((5, 5))) == ("L", 77)
    small = data.inputs.shape[1]
    (tmp_path / "photos/cat/0.jpg").unlink()
    (tmp_path / "photos/cat/1.png").write_bytes(b"no picture any more")
    assert read(0).picture.size == (small, small)
    assert read(1).picture.size == (small, small)
    assert read(2).picture.size == (200, 300)


def test_files_whose_names_are_no_utf8_are_found(tmp_path: Path) -> None:
    root = folder_of_photos(tmp_path / "photos")
    (root / "cat" / "0.jpg").rename(root / "cat" / "caf\udce9.jpg")
    data = load(root)
    assert any("\\udce9" in key for key in data.keys)
    assert [content_reader(data)(i).picture.size for i, key in enumerate(data.keys) if "\\" in key] == [(200, 300)]
