"""Trainings on two processes, recorded: as one process would record the same batches, whoever owns the loop."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, DistributedSampler

import gwa_attrib as gwa
from gwa_attrib.errors import InputError
from gwa_attrib.store import Run, inspect, open_run
from gwa_attrib.store.schema import PartName
from gwa_attrib.store.summaries import flat
from tests import ROOT
from tests.integrations.plain import needs
from tests.loops import Classifier, Told, sgd
from tests.recording.processes.ranks import BATCH, EPOCHS, KINDS, RANKS, Convolutions, N

OWN_LOOPS = ["ddp", "ddp_workers", "ddp_probe", "ddp_layers", "fsdp", "fsdp_probe", "resumed"]
FRAMEWORKS = [
    pytest.param("by_accelerate", marks=needs("accelerate", "hf")),
    pytest.param("by_lightning", marks=needs("lightning", "lightning")),
    pytest.param("by_trainer", marks=needs("transformers", "hf")),
]
WRONG = [name for name in KINDS if name not in OWN_LOOPS and not name.startswith("by_")]


def torchrun(folder: Path, *kinds: str) -> Path:
    """Both processes, one thread each."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(RANKS)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*launcher, "-m", "tests.recording.processes.ranks", str(folder), *kinds],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that needs torch alone, in two processes that import it once."""
    return torchrun(tmp_path_factory.mktemp("ranks"), *OWN_LOOPS, *WRONG)


def told(folder: Path, kind: str) -> list[Any]:
    """What each process has told."""
    return [json.loads((folder / f"{kind}.{rank}.json").read_text()) for rank in range(RANKS)]


def replayed(
    path: Path, batches: list[list[list[int]]], network: type[nn.Module] = Classifier, **options: Any
) -> tuple[Run, list[dict[str, Any]]]:
    """The training in one process: of each epoch and step the batches of all ranks as one."""
    data, model = Told(N), network()
    optimizer, summaries = sgd(model), []
    with gwa.record(model, path, num_samples=N, optimizer=optimizer, **options) as recorder:
        recorder.batches(DataLoader(data))  # for the probe
        for steps in batches:
            for ids in steps:
                F.cross_entropy(model(data.x[ids]), data.y[ids]).backward()
                recorder.step(data.y[ids], sample_ids=torch.tensor(ids))
                optimizer.step()
                optimizer.zero_grad()
            summaries.append(flat(recorder.end_epoch()))
    return open_run(path), summaries


def batches_of(seen: list[list[list[int]]]) -> list[list[list[int]]]:
    """Of each epoch and step the ids of all ranks, from what each rank saw in each epoch."""
    return [
        [[i for ids in ranks for i in ids[start : start + BATCH]] for start in range(0, len(ranks[0]), BATCH)]
        for ranks in zip(*seen, strict=True)
    ]


def same_run(found: Run, expected: Run) -> None:
    """Every number of every sample, in what both have recorded."""
    assert (found.labels == expected.labels).all()
    assert found.epoch_numbers == expected.epoch_numbers
    for name in ("alignment", "loss", "margin", "p_label", "el2n", "grad_norm", "dot", "pred", "learning_rate"):
        np.testing.assert_allclose(
            found.trajectory(name), expected.trajectory(name), rtol=1e-4, atol=1e-6, err_msg=name
        )
    if (found.path / "probe").exists():
        for name in ("alignment", "loss", "pred"):
            probes = [run.trajectory(name, table="probe") for run in (found, expected)]
            np.testing.assert_allclose(*probes, rtol=1e-4, atol=1e-6, err_msg=name)
    for layer in found.layers:
        layers = [run.trajectory("alignment", layer) for run in (found, expected)]
        np.testing.assert_allclose(*layers, rtol=1e-4, atol=1e-6, err_msg=layer)


def same_summaries(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """All but the times, and GWA, whose pole magnifies rounding: its kurtosis is compared."""
    for ours, theirs in zip(found, expected, strict=True):
        names = [name for name in theirs if "seconds" not in name and name not in ("gwa", "probe_gwa")]
        assert len(names) > 10
        for name in names:
            a, b = (math.nan if row[name] is None else row[name] for row in (ours, theirs))
            assert a == pytest.approx(b, rel=1e-3, abs=1e-6, nan_ok=True), name


def check(folder: Path, kind: str, tmp_path: Path, seen: list[list[list[int]]], **options: Any) -> None:
    """The run, its files, and the summaries of each process."""
    run = open_run(folder / kind)
    attempts = run.info["attempts"]
    for epoch in range(EPOCHS):
        for rank in range(RANKS):
            later = attempts > 1 and epoch == EPOCHS - 1
            name = str(PartName(epoch, rank, 1 if later else 0))
            assert (run.path / "observations" / name).exists()
            assert (run.path / "epochs" / name).exists()
    facts = inspect(run)
    assert (run.info["world_size"], facts["status"], facts["missing_epochs"]) == (RANKS, "complete", [])
    assert facts["observations"] == sum(map(len, seen[0])) + sum(map(len, seen[1]))
    expected, summaries = replayed(tmp_path / "alone", batches_of(seen), **options)
    same_run(run, expected)
    for of_rank in told(folder, kind):
        same_summaries(of_rank, summaries[-len(of_rank) :])
    same_summaries(run.epochs().to_dict("records"), summaries)


def drawn() -> list[list[list[int]]]:
    """What torch's sampler gives each rank in each epoch."""
    samplers = [DistributedSampler(Told(N), RANKS, rank, shuffle=True, seed=3) for rank in range(RANKS)]
    seen = []
    for each in samplers:
        seen.append([])
        for epoch in range(EPOCHS):
            each.set_epoch(epoch)
            seen[-1].append(list(each))
    return seen


@pytest.mark.parametrize("kind", OWN_LOOPS)
def test_a_loop_of_ones_own(folder: Path, kind: str, tmp_path: Path) -> None:
    options = {} if kind in ("ddp", "ddp_workers", "fsdp") else {"probe": 7}
    options |= {"layers": "all", "network": Convolutions} if kind == "ddp_layers" else {}
    check(folder, kind, tmp_path, drawn(), **options)


@pytest.mark.parametrize("kind", OWN_LOOPS)
def test_the_ids_are_those_of_the_batches(folder: Path, kind: str) -> None:
    for rank, (epochs, sampled) in enumerate(zip(told(folder, kind), drawn(), strict=True)):
        for epoch, ids in zip(epochs, sampled[-len(epochs) :], strict=True):
            assert epoch["ids"] == ids
            files = list((folder / kind / "observations").glob(f"*epoch={epoch['epoch']:05d}-rank={rank:05d}*"))
            assert pq.read_table(files[0], columns=["sample_id"])["sample_id"].to_pylist() == sorted(ids)


EXPECTED = {
    "stepped_too_early": ("StepOrderError", "weights of the head that changed"),
    "older_shards": ("InputError", "one wrapped in FullyShardedDataParallel"),
    "layers_of_shards": ("InputError", "layers='all'"),
    "measures_of_shards": ("InputError", "measures llid"),
    "a_label_that_differs": ("SampleIdError", "sample 3 with label 1 and with label 0"),
    "nothing_in_one": ("StepOrderError", "at least one recorder.step()"),
    "a_folder_that_is_taken": ("RunExistsError", "other files there, and no run"),
}


@pytest.mark.parametrize("kind", EXPECTED)
def test_what_is_wrong_ends_all_processes(folder: Path, kind: str) -> None:
    """One names what is wrong; the others too, or which process it is."""
    name, text = EXPECTED[kind]
    found = told(folder, kind)
    assert name in [of_rank["error"] for of_rank in found]
    for rank, of_rank in enumerate(found):
        assert text in of_rank["text"]
        assert of_rank["error"] == name or f"the process of rank {1 - rank}" in of_rank["text"]
    if kind == "a_folder_that_is_taken":
        assert [path.name for path in (folder / kind).iterdir()] == ["thesis.txt"]


def test_copies_on_several_devices_of_one_process_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="one wrapped in DataParallel"):
        gwa.record(nn.DataParallel(Classifier()), tmp_path / "run", num_samples=N)
    assert not (tmp_path / "run").exists()


def test_a_group_of_one_process_is_no_group(tmp_path: Path) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    try:
        same_run(*(replayed(tmp_path / name, [[[0, 1], [2, 3]]])[0] for name in ("one", "other")))
    finally:
        torch.distributed.destroy_process_group()
    assert open_run(tmp_path / "one").info["world_size"] == 1


def test_a_full_disk_of_one_process_fails_for_all_and_can_be_repeated(folder: Path) -> None:
    for rank, (first, error, second) in enumerate(told(folder, "no_room_in_one")):
        assert (first, second) == (1.0, 1.0)
        assert "Free space" in error
        assert ("the process of rank 1" in error) == (rank == 0)
    facts = inspect(open_run(folder / "no_room_in_one"))
    assert (facts["epochs"], facts["missing_epochs"], facts["observations"]) == (2, [], 2 * N)


@pytest.mark.slow
@pytest.mark.parametrize("kind", FRAMEWORKS)
def test_a_framework(kind: str, tmp_path: Path) -> None:
    folder = torchrun(tmp_path, kind)
    seen = [[epoch["ids"] for epoch in epochs] for epochs in told(folder, kind)]
    assert {i for ranks in seen for ids in ranks for i in ids} == set(range(N))
    check(folder, kind, tmp_path, seen, probe=7)
