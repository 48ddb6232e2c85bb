"""What is left after decisions, as data sets to train on."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import gwa_attrib as gwa
from gwa_attrib.cleaning.decisions import decisions_of
from gwa_attrib.errors import InputError
from gwa_attrib.store import Run
from tests.small_runs import blobs, record_run

X, LABELS = blobs(60, 3, 6)
ROWS, NEW = np.array([0, 1, 5, 59]), np.array([-1, 0, -1, 2])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Sample 7 is never seen."""
    seen = [np.delete(np.arange(60), 7)] * 2
    return record_run(tmp_path_factory.mktemp("c") / "run", X, LABELS, "abc", epochs=2, seen=seen)


@pytest.fixture(scope="module")
def cleaned(run: Run) -> gwa.Cleaned:
    actions = ("drop", "relabel", "drop", "relabel" if LABELS[59] != 2 else "keep")
    return gwa.apply(run, decisions_of(run, ROWS, actions, NEW))


def expected() -> tuple[torch.Tensor, torch.Tensor]:
    labels = LABELS.clone()
    labels[torch.from_numpy(ROWS)] = torch.from_numpy(NEW)
    left = labels >= 0
    return X[left], labels[left]


def test_the_rest_is_as_it_was(cleaned: gwa.Cleaned) -> None:
    _, labels = expected()
    seen = cleaned.sample_ids != 7
    np.testing.assert_array_equal(cleaned.labels[seen], labels.numpy()[seen])
    assert cleaned.labels[~seen] == [-1]
    assert set(range(60)) - set(cleaned.sample_ids.tolist()) == {0, 5}
    assert cleaned.counts["dropped"] == 2
    assert len(cleaned) == 58


def test_a_torch_data_set_loads_in_batches(cleaned: gwa.Cleaned) -> None:
    x, labels = expected()
    view = cleaned.to_torch(TensorDataset(X, LABELS))
    batches = list(DataLoader(view, batch_size=20))
    torch.testing.assert_close(torch.cat([b[0] for b in batches]), x)
    torch.testing.assert_close(torch.cat([b[1] for b in batches]), labels)
    assert len(list(view)) == len(view) == 58
    plain = cleaned.to_torch([(i, int(label), "more") for i, label in enumerate(LABELS)])  # type: ignore[arg-type]
    assert plain[0] == (1, 0, "more")


def test_another_data_set_is_refused(cleaned: gwa.Cleaned) -> None:
    with pytest.raises(InputError, match="at least 60 items"):
        cleaned.to_torch(TensorDataset(X[:50], LABELS[:50]))
    with pytest.raises(InputError, match="label of the run"):
        list(cleaned.to_torch(TensorDataset(X, LABELS.roll(1))))
    with pytest.raises(InputError, match="Tensor"):
        cleaned.to_torch(LABELS)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="a dict with 'x', 'target'"):
        cleaned.to_torch([{"x": x, "target": y} for x, y in zip(X, LABELS, strict=True)])  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["labels", "label"])
def test_items_of_the_trainer_are_dicts(cleaned: gwa.Cleaned, name: str) -> None:
    items = [{"x": x, name: int(label)} for x, label in zip(X, LABELS, strict=True)]
    view = cleaned.to_torch(items)  # type: ignore[arg-type]
    x, labels = expected()
    torch.testing.assert_close(torch.stack([item["x"] for item in view]), x)
    assert [item[name] for item in view] == labels.tolist()
    assert items[1][name] == int(LABELS[1])  # the user's own is left alone


def test_the_trainers_name_of_the_label_column_is_found(cleaned: gwa.Cleaned) -> None:
    datasets = pytest.importorskip("datasets", reason="needs gwa-attrib[hf]")
    dataset = datasets.Dataset.from_dict({"row": list(range(60)), "labels": LABELS.tolist()})
    _, labels = expected()
    assert cleaned.to_huggingface(dataset)["labels"][:] == labels.tolist()


@pytest.mark.parametrize("form", ["class label", "names", "numbers"])
def test_a_hugging_face_data_set_keeps_its_columns_and_types(cleaned: gwa.Cleaned, form: str) -> None:
    datasets = pytest.importorskip("datasets", reason="needs gwa-attrib[hf]")
    names = [("abc"[i] if form == "names" else int(i)) for i in LABELS]
    dataset = datasets.Dataset.from_dict({"row": list(range(60)), "label": names})
    if form == "class label":
        dataset = dataset.cast_column("label", datasets.ClassLabel(names=list("abc")))
    found = cleaned.to_huggingface(dataset)
    _, labels = expected()
    assert found["row"][:] == cleaned.sample_ids.tolist()
    assert found["label"][:] == [("abc"[i] if form == "names" else int(i)) for i in labels]
    assert found.features == dataset.features
    for other, message in (
        (dataset.select(range(59)), "60 rows"),
        (dataset.rename_column("label", "y"), "'label'"),
        (dataset.select([*range(1, 60), 0]), "labels of the run"),
    ):
        with pytest.raises(InputError, match=message):
            cleaned.to_huggingface(other)
