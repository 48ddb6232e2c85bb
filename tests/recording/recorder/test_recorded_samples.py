"""Every observation belongs to a sample that exists, keeps its label, and carries its owner's name for it."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from torch.utils.data import ConcatDataset, Subset, WeightedRandomSampler, random_split

from gwa_attrib.errors import InputError, SampleIdError
from gwa_attrib.recording.begin import record
from gwa_attrib.store import inspect, open_run
from tests import loops
from tests.loops import Classifier, Told


def one_epoch(path: Path, ids: list[Any], num_samples: int = loops.SAMPLES) -> None:
    model, data = Classifier(), Told()
    with record(model, path, num_samples=num_samples) as recorder:
        F.cross_entropy(model(data.x[: len(ids)]), data.y[: len(ids)]).backward()
        recorder.step(data.y[: len(ids)], sample_ids=ids)
        recorder.end_epoch()


@pytest.mark.parametrize("stranger", [-1, loops.SAMPLES, 2**40])
def test_an_id_out_of_range_is_refused(tmp_path: Path, stranger: int) -> None:
    with pytest.raises(SampleIdError, match=f"{stranger}.*num_samples=len"):
        one_epoch(tmp_path / "run", [0, 1, stranger])
    assert open_run(tmp_path / "run").epoch_numbers == ()


@pytest.mark.parametrize(
    "ids", [torch.tensor([4, 5, 6]), np.array([4, 5, 6]), (4, 5, 6), torch.tensor([4, 5, 6]).int()]
)
def test_ids_may_come_as_any_whole_numbers(tmp_path: Path, ids: Any) -> None:
    one_epoch(tmp_path / "run", ids)
    assert open_run(tmp_path / "run").observations()["sample_id"].to_pylist() == [4, 5, 6]


def test_ids_off_by_one_are_found_in_the_second_epoch_at_the_latest(tmp_path: Path) -> None:
    """As when somebody prefetches a batch: each batch gets the ids of another."""
    model, order = Classifier(), torch.Generator().manual_seed(0)

    def training() -> None:
        with record(model, tmp_path / "run", num_samples=loops.SAMPLES) as recorder:
            for _ in range(2):
                ids = torch.randperm(loops.SAMPLES, generator=order)
                for mine, theirs in zip(ids.split(5), ids.roll(5).split(5), strict=True):
                    recorder.step(loops.backward(model, mine.tolist()), sample_ids=theirs)
                recorder.end_epoch()

    with pytest.raises(SampleIdError, match="keep its label"):
        training()
    assert open_run(tmp_path / "run").epoch_numbers == (0,)


def test_a_batch_fetched_ahead_is_noticed_in_the_first_epoch(tmp_path: Path) -> None:
    """Without shuffling every epoch would be shifted alike, and no label would change: the last batch has no ids."""
    model = Classifier()

    def training() -> None:
        with record(model, tmp_path / "run", num_samples=loops.SAMPLES) as recorder:
            batches = iter(recorder.batches(loops.loader(batch_size=5)))
            x, y = next(batches)
            while x is not None:
                following = next(batches, (None, None))
                F.cross_entropy(model(x), y).backward()
                recorder.step(y)
                x, y = following
            recorder.end_epoch()

    with pytest.raises(InputError, match=r"recorder\.batches"):
        training()


@pytest.mark.parametrize("n", [1, 19])
def test_a_loader_over_more_samples_than_announced_is_refused_at_once(tmp_path: Path, n: int) -> None:
    with (
        record(Classifier(), tmp_path / "run", num_samples=n) as recorder,
        pytest.raises(SampleIdError, match=rf"num_samples={n}\D.*{loops.SAMPLES}"),
    ):
        recorder.batches(loops.loader())


def test_a_subset_keeps_the_ids_of_the_whole(tmp_path: Path) -> None:
    chosen = [17, 3, 11, 5, 2]
    run = loops.recorded(tmp_path / "run", batches=loops.loader(Subset(Told(), chosen)), num_samples=5)
    assert run.sample_ids.tolist() == sorted(chosen)
    assert run.labels.tolist() == [i % 3 for i in sorted(chosen)]
    assert run.epochs()["coverage"].tolist() == [1.0]


def test_a_part_of_the_training_set_covers_a_part(tmp_path: Path) -> None:
    run = loops.recorded(tmp_path / "run", batches=loops.loader(Subset(Told(), [17, 3, 11, 5])))
    assert run.epochs()["coverage"].tolist() == [0.2]
    assert np.flatnonzero(~np.isnan(run.trajectory("alignment")[0])).tolist() == [3, 5, 11, 17]
    assert inspect(run)["never_seen"] == 16
    assert (run.labels >= 0).sum() == 4


def test_disjoint_loaders_add_up(tmp_path: Path) -> None:
    """Two subsets of a larger set in one epoch, both known before it ends."""
    large = ConcatDataset([Told(), Told(21)])
    parts = [Subset(large, range(30, 35)), Subset(large, range(2, 7))]
    model = Classifier()
    with record(model, tmp_path / "run", num_samples=10) as recorder:
        batches = [recorder.batches(loops.loader(part)) for part in parts]
        for of_part in batches:
            for x, y in of_part:
                F.cross_entropy(model(x), y).backward()
                recorder.step(y)
        recorder.end_epoch()
    run = open_run(tmp_path / "run")
    assert run.sample_ids.tolist() == [*range(2, 7), *range(30, 35)]
    assert not np.isnan(run.trajectory("alignment")).any()


def test_duplicates_are_kept_as_rows_and_averaged_in_trajectories(tmp_path: Path) -> None:
    weights = torch.arange(float(loops.SAMPLES)) ** 4
    sampler = WeightedRandomSampler(weights, 60, replacement=True, generator=torch.Generator().manual_seed(0))
    run = loops.recorded(tmp_path / "run", batches=loops.loader(sampler=sampler))
    rows = run.observations().to_pandas()
    assert len(rows) == 60
    assert rows["sample_id"].duplicated().any()
    expected = rows.groupby("sample_id")["loss"].mean().reindex(range(loops.SAMPLES)).to_numpy()
    np.testing.assert_allclose(run.trajectory("loss")[0], expected, rtol=1e-6)
    assert run.epochs()["coverage"].tolist() == [rows["sample_id"].nunique() / loops.SAMPLES]
    assert run.epochs()["n"].tolist() == [60]


def test_the_last_batch_that_drop_last_drops_is_unseen(tmp_path: Path) -> None:
    run = loops.recorded(tmp_path / "run", batches=loops.loader(batch_size=6, drop_last=True))
    assert np.isnan(run.trajectory("loss")).tolist() == [[False] * 18 + [True] * 2]
    assert run.labels[18:].tolist() == [-1, -1]


# --- names and further facts ------------------------------------------------------------------------------------------


KEYS = [f"photo-{i}.png" for i in range(loops.SAMPLES)]


def test_keys_and_columns_belong_to_their_samples(tmp_path: Path) -> None:
    columns = {"true": list(range(loops.SAMPLES)), "source": ["a", "b"] * 10}
    samples = loops.recorded(tmp_path / "run", keys=KEYS, columns=columns).samples
    assert samples["key"].tolist() == KEYS
    assert samples["true"].tolist() == list(range(loops.SAMPLES))
    assert samples["source"].tolist() == ["a", "b"] * 10


def test_without_keys_the_ids_are_the_keys(tmp_path: Path) -> None:
    assert loops.recorded(tmp_path / "run").samples["key"].tolist() == [str(i) for i in range(loops.SAMPLES)]


@pytest.mark.parametrize("wrap", [list, np.array, pd.Series, torch.tensor], ids=["list", "numpy", "pandas", "torch"])
def test_columns_may_be_any_sequence(tmp_path: Path, wrap: Any) -> None:
    samples = loops.recorded(tmp_path / "run", columns={"score": wrap([0.5 * i for i in range(loops.SAMPLES)])}).samples
    assert samples["score"].tolist() == [0.5 * i for i in range(loops.SAMPLES)]


def test_a_pandas_column_counts_by_position_not_by_its_index(tmp_path: Path) -> None:
    """A frame that was split or shuffled keeps the old row numbers as its index."""
    column = pd.Series(range(loops.SAMPLES), index=np.random.default_rng(0).permutation(loops.SAMPLES) + 5)
    samples = loops.recorded(tmp_path / "run", columns={"score": column}, keys=column.astype(str)).samples
    assert samples["score"].tolist() == list(range(loops.SAMPLES))
    assert samples["key"].tolist() == [str(i) for i in range(loops.SAMPLES)]


@pytest.mark.parametrize("whole", [False, True], ids=["of the part", "of the whole"])
def test_keys_of_a_random_split_belong_to_their_samples(tmp_path: Path, whole: bool) -> None:
    """`random_split` shuffles: keys are in the order of what num_samples counts, be it the part or the whole."""
    part, _ = random_split(Told(), [12, 8], generator=torch.Generator().manual_seed(1))
    keys = KEYS if whole else [KEYS[i] for i in part.indices]
    run = loops.recorded(tmp_path / "run", batches=loops.loader(part), num_samples=len(keys), keys=keys)
    seen = run.samples[run.samples["label"] >= 0]
    assert sorted(seen["sample_id"]) == sorted(part.indices)
    assert seen["key"].tolist() == [KEYS[i] for i in seen["sample_id"]]


def test_keys_whose_samples_cannot_be_told_are_refused(tmp_path: Path) -> None:
    """Five keys, and a loader over three of who knows which five."""
    with (
        record(Classifier(), tmp_path / "run", num_samples=5, keys=list("abcde")) as recorder,
        pytest.raises(InputError, match="keys"),
    ):
        recorder.batches(loops.loader(Subset(Told(), [19, 3, 7])))


@pytest.mark.parametrize("n", [0, 19, 21])
@pytest.mark.parametrize("what", ["keys", "columns"])
def test_wrong_lengths_are_refused_before_anything_is_written(tmp_path: Path, what: str, n: int) -> None:
    given = {"keys": ["x"] * n} if what == "keys" else {"columns": {"x": [0] * n}}
    with pytest.raises(InputError, match=rf"20 entries.*{n}"):
        record(Classifier(), tmp_path / "run", num_samples=loops.SAMPLES, **given)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["label", "key", "sample_id"])
def test_columns_cannot_replace_ours(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=name):
        record(Classifier(), tmp_path / "run", num_samples=3, columns={name: [1, 2, 3]})


def test_columns_that_cannot_be_stored_are_refused_before_training(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="strange"):
        record(Classifier(), tmp_path / "run", num_samples=2, columns={"strange": [object(), 1]})


@pytest.mark.parametrize("n", [0, -1])
def test_no_samples_are_too_few(tmp_path: Path, n: int) -> None:
    with pytest.raises(InputError, match=r"len\(train_set\)"):
        record(Classifier(), tmp_path / "run", num_samples=n)
