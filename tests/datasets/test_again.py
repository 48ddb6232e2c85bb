"""Data of another run, or in another order, are told by their labels."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

import gwa_attrib as gwa
from gwa_attrib.datasets import LabeledData
from gwa_attrib.datasets.again import COMPARED, NOT_CHECKED, check_same_samples
from gwa_attrib.errors import InputError
from gwa_attrib.store import Run
from tests.small_runs import blobs, record_run

NAMES = ("cat", "dog", "1")
SIZE = 600


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    x, labels = blobs(SIZE, 3, 20)
    return record_run(tmp_path_factory.mktemp("run") / "run", x, labels, NAMES, epochs=2)


@pytest.fixture(scope="module")
def unnamed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    x, labels = blobs(SIZE, 3, 20)
    return record_run(tmp_path_factory.mktemp("unnamed") / "run", x, labels, ("0", "1", "2"), epochs=2)


NONE = np.zeros(SIZE, dtype=bool)


def named(run: Run, labels: Any = None) -> LabeledData:
    labels = run.labels if labels is None else labels
    texts = np.array(["t"] * SIZE, dtype=object)
    return LabeledData(
        "n", "made by hand", "text", texts, labels.astype(np.int64), NAMES, tuple(str(i) for i in range(SIZE))
    )


def forms(run: Run, order: Any) -> dict[str, Any]:
    numbers = [int(i) for i in run.labels[order]]
    return {
        "pairs": [("t", number) for number in numbers],
        "names": [("t", NAMES[number]) for number in numbers],
        "tensors": TensorDataset(torch.zeros(SIZE, 2), torch.tensor(numbers)),
        "dicts": [{"text": "t", "labels": np.int64(number)} for number in numbers],
        "labelled": named(run, run.labels[order]),
    }


def test_the_data_of_the_run_pass_and_shuffled_ones_do_not(run: Run) -> None:
    shuffled = np.random.default_rng(1).permutation(SIZE)
    for data in forms(run, np.arange(SIZE)).values():
        assert check_same_samples(run, data, NONE) == ""
    for data in forms(run, shuffled).values():
        with pytest.raises(InputError, match=r"another label for 1[0-9][0-9] of 256 samples"):
            check_same_samples(run, data, NONE)
    for data in forms(run, np.roll(np.arange(SIZE), 1)).values():
        with pytest.raises(InputError, match="in the same order"):
            check_same_samples(run, data, NONE)


def test_hugging_face_data_sets(run: Run, unnamed: Run) -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=list(NAMES))})
    data = datasets.Dataset.from_dict({"text": ["t"] * SIZE, "label": run.labels.tolist()}, features=features)
    for recorded in (run, unnamed):
        assert check_same_samples(recorded, data, NONE) == ""
        with pytest.raises(InputError, match="another label"):
            check_same_samples(recorded, data.shuffle(seed=3), NONE)


def test_labels_of_suspects_may_have_been_corrected_since(run: Run) -> None:
    suspects = NONE.copy()
    suspects[::3] = True
    labels = np.where(suspects, (run.labels + 1) % 3, run.labels)
    assert check_same_samples(run, named(run, labels), suspects) == ""
    with pytest.raises(InputError):
        check_same_samples(run, named(run, labels), NONE)


def test_where_all_are_suspects_a_third_may_differ(run: Run) -> None:
    labels = run.labels.copy()
    labels[::4] = (labels[::4] + 1) % 3
    assert check_same_samples(run, named(run, labels), ~NONE) == ""
    shuffled = np.random.default_rng(1).permutation(SIZE)
    with pytest.raises(InputError, match="in its order"):
        check_same_samples(run, named(run, run.labels[shuffled]), ~NONE)


def test_one_label_of_few_may_differ_and_one_percent_of_many(run: Run) -> None:
    few = np.ones(SIZE, dtype=bool)
    few[:20] = False
    for wrong, refused in ((1, False), (2, True)):
        labels = run.labels.copy()
        labels[:wrong] = (labels[:wrong] + 1) % 3
        if refused:
            with pytest.raises(InputError, match="for 2 of 20 samples"):
                check_same_samples(run, named(run, labels), few)
        else:
            assert check_same_samples(run, named(run, labels), few) == ""
    every = run.labels.copy()
    every[: SIZE // 200] = (every[: SIZE // 200] + 1) % 3
    assert check_same_samples(run, named(run, every), NONE) == "", "at most 3 of 600, and 256 of them are drawn"


def test_a_rare_class_tells_orders_apart(tmp_path: Path) -> None:
    x = torch.randn(2000, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.zeros(2000, dtype=torch.int64)
    labels[:10] = 1
    rare = record_run(tmp_path / "run", x, labels, ("usual", "rare"), epochs=1)
    with pytest.raises(InputError, match="'rare' in the run and '0' in the data"):
        check_same_samples(rare, [("t", int(i)) for i in labels.flip(0)], np.zeros(2000, dtype=bool))


def test_what_cannot_be_compared_is_said(run: Run, unnamed: Run) -> None:
    class Broken:
        def __getitem__(self, i: int) -> Any:
            raise OSError

        def __len__(self) -> int:
            return SIZE

    for data in (["t"] * SIZE, torch.zeros(SIZE, 4), Broken(), [("t", torch.tensor([0.5, 0.5]))] * SIZE):
        assert check_same_samples(run, data, NONE) == NOT_CHECKED
    others = [("t", "a name that a run without names does not know")] * SIZE
    assert check_same_samples(unnamed, others, NONE) == NOT_CHECKED
    with pytest.raises(InputError, match="256 of 256"):
        check_same_samples(run, others, NONE)
    assert check_same_samples(run, ["t"] * SIZE, ~NONE) == NOT_CHECKED
    assert COMPARED == 256


def test_an_audit_that_flipped_labels_knows_both(tmp_path: Path) -> None:
    x, before = blobs(SIZE, 3, 0)
    flipped = before.clone()
    flipped[:120] = (flipped[:120] + 1) % 3
    columns = {"label_before_flip": np.array(NAMES)[before.numpy()]}
    run = record_run(tmp_path / "run", x, flipped, NAMES, epochs=1, columns=columns)
    for labels in (before, flipped):
        assert check_same_samples(run, [("t", NAMES[i]) for i in labels], NONE) == ""
    with pytest.raises(InputError):
        check_same_samples(run, [("t", NAMES[(i + 2) % 3]) for i in before], NONE)


def test_exports_refuse_what_is_no_data_of_the_run(run: Run, tmp_path: Path) -> None:
    shuffled = np.random.default_rng(1).permutation(SIZE)
    target = tmp_path / "tasks.json"
    with pytest.raises(InputError, match="in its order"):
        gwa.export(run, "label-studio", target, data=forms(run, shuffled)["pairs"], k=3)
    assert not target.exists()
    assert gwa.export(run, "label-studio", target, data=forms(run, np.arange(SIZE))["pairs"], k=3).notes == ()
    assert gwa.export(run, "label-studio", target, data=["t"] * SIZE, k=3).notes == (NOT_CHECKED,)
