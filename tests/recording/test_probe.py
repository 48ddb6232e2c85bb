"""The probe: every sample measured in evaluation mode at the weights of the end of the epoch; nothing is disturbed."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader, Subset

from gwa_attrib.errors import HeadError, InputError, RunError, SampleIdError, StepOrderError
from gwa_attrib.functional import gwa
from gwa_attrib.hooks.undisturbed import left_undisturbed
from gwa_attrib.recording.begin import record
from gwa_attrib.recording.probe import sampled
from gwa_attrib.recording.processes import Processes
from gwa_attrib.recording.recorder import Recorder
from gwa_attrib.store import open_run
from tests import loops
from tests.loops import Classifier, Told

SAMPLES = loops.SAMPLES


def alone(model: nn.Module, x: Tensor, y: Tensor) -> dict[str, float]:
    """One sample in evaluation mode, by autograd in float64."""
    model.eval()
    logits = model(x.unsqueeze(0))
    loss = F.cross_entropy(logits, y.unsqueeze(0))
    (gradient,) = torch.autograd.grad(loss, model.head.weight)
    weight = model.head.weight.detach()
    dot = float(-(gradient * weight).sum())
    size = float(gradient.norm() * weight.norm())
    return {"alignment": dot / size, "loss": float(loss.detach()), "pred": int(logits.argmax()), "dot": dot}


class Normalised(nn.Module):
    """Batch norm and dropout: what training and evaluation differ by."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Linear(loops.FEATURES, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.5))
        self.head = nn.Linear(8, loops.CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))


def test_every_sample_is_measured_as_it_would_be_alone(tmp_path: Path) -> None:
    model, data = Normalised(), Told()
    with record(model, tmp_path / "run", num_samples=SAMPLES, probe=True) as recorder:
        loops.train(recorder, model, loops.loader(data, shuffle=True), epochs=2)
    run = open_run(tmp_path / "run")
    expected = [alone(model.double(), x.double(), y) for x, y in zip(data.x, data.y, strict=True)]
    for name in ("alignment", "loss", "dot", "pred"):
        found = run.trajectory(name, table="probe")
        assert found.shape == (2, SAMPLES)
        np.testing.assert_allclose(found[1], [e[name] for e in expected], rtol=1e-4, atol=1e-5)
        assert not np.allclose(run.trajectory(name)[1], found[1], atol=1e-3), "the online one is something else"
    summary = run.epochs().iloc[1]
    assert summary["probe_mean"] == pytest.approx(np.mean([e["alignment"] for e in expected]), rel=1e-4)
    assert summary["probe_gwa"] == pytest.approx(gwa(torch.tensor([e["alignment"] for e in expected])), rel=1e-3)
    assert summary["probe_loss"] == pytest.approx(np.mean([e["loss"] for e in expected]), rel=1e-4)
    right = np.mean([e["pred"] == int(y) for e, y in zip(expected, data.y, strict=True)])
    assert summary["probe_accuracy"] == pytest.approx(right)
    first, second = run.trajectory("pred", table="probe")
    assert summary["probe_prediction_changes"] == (first != second).sum()


def state(model: nn.Module) -> dict[str, Any]:
    return {
        "modes": [module.training for module in model.modules()],
        "state": {name: value.clone() for name, value in model.state_dict().items()},
        "hooks": [len(module._forward_hooks) for module in model.modules()],
        "torch": torch.get_rng_state(),
        "numpy": np.random.get_state()[1].tolist(),
    }


def same(found: Any, expected: Any) -> bool:
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(same(found[name], expected[name]) for name in expected)
    return torch.equal(found, expected) if isinstance(expected, Tensor) else found == expected


class Draws(Told):
    """A data set that draws from torch and numpy. (The type checker of the tests draws from Python's own generator.)"""

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        x, y = super().__getitem__(index)
        return x + 1e-3 * (torch.rand(1) + np.random.rand()).float(), y


@pytest.mark.parametrize("measures", [[], ["gradient_disparity", "llid", "pid", "spectrum", "projected_alignment"]])
def test_the_model_and_all_random_numbers_are_left_as_they_were(tmp_path: Path, measures: list[str]) -> None:
    model = Normalised()
    model.body[3].eval()  # a module in another mode than its parent
    with record(model, tmp_path / "run", num_samples=SAMPLES, probe=7, measures=measures) as recorder:
        for x, y in recorder.batches(loops.loader(Draws())):
            F.cross_entropy(model(x), y).backward()
            recorder.step(y)
        gradients = [p.grad.clone() for p in model.parameters()]
        before = state(model)
        recorder.end_epoch()
        assert same(state(model), before)
        assert all(torch.equal(p.grad, g) for p, g in zip(model.parameters(), gradients, strict=True))


def test_pythons_own_random_numbers_go_on_where_they_were() -> None:
    model, before = Normalised(), random.getstate()
    with left_undisturbed(model, training=False):
        random.random()
    assert random.getstate() == before


def test_training_and_what_is_recorded_online_are_the_same_to_the_bit(tmp_path: Path) -> None:
    runs = {}
    for probe in (None, 9):
        torch.manual_seed(3)
        model, data = Normalised(), loops.loader(Draws(), shuffle=True)
        np.random.seed(3)
        runs[probe] = loops.recorded(tmp_path / str(probe), model, data, epochs=3, probe=probe)
    loops.same_observations(runs[9], runs[None])


def test_the_sample_is_drawn_once_and_not_as_numpy_users_draw() -> None:
    loader = loops.loader(Told(1000))
    drawn = [list(sampled(loader, 100, Processes()).dataset.indices) for _ in range(2)]
    assert drawn[0] == drawn[1] == sorted(set(drawn[0]))
    for seed in range(20):
        other = np.random.default_rng(seed).choice(1000, 100, replace=False)
        assert len(np.intersect1d(other, drawn[0])) < 40
    assert len(sampled(loader, 5000, Processes()).dataset) == 1000


def test_ids_are_those_of_the_data_set_below(tmp_path: Path) -> None:
    subset = Subset(Told(), [3, 4, 8, 15, 16, 19])
    run = loops.recorded(tmp_path / "run", batches=loops.loader(subset, 2), num_samples=6, probe=4)
    assert set(run.observations(table="probe")["sample_id"].to_pylist()) < {3, 4, 8, 15, 16, 19}
    assert len(run.observations(table="probe")) == 4
    assert np.isnan(run.trajectory("alignment", table="probe")).sum() == 2


def test_a_loader_of_its_own(tmp_path: Path) -> None:
    """Without augmentation, say; and without ``recorder.batches``, whose loader it would be drawn from."""
    model, data = Classifier(), Told()
    with record(model, tmp_path / "run", num_samples=SAMPLES) as recorder:
        for epoch in range(3):
            ids = torch.arange(SAMPLES)
            F.cross_entropy(model(data.x), data.y).backward()
            recorder.step(data.y, sample_ids=ids)
            summary = recorder.end_epoch(probe=loops.loader(data) if epoch == 1 else None)
            assert (summary.probe is None) == (epoch != 1)
    run = open_run(tmp_path / "run")
    found = run.trajectory("alignment", table="probe")
    assert np.isfinite(found).all(axis=1).tolist() == [False, True, False]
    assert run.epochs()["probe_mean"].notna().tolist() == [False, True, False]
    assert [epoch for epoch, _ in run.by_epoch("loss", table="probe")] == [1]
    np.testing.assert_allclose(found[1], run.trajectory("alignment")[1], rtol=1e-4)  # no dropout, no step in between


def test_averaged_weights_are_what_is_measured(tmp_path: Path) -> None:
    model, data = Classifier(), Told()
    averaged = AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.5))
    with record(model, tmp_path / "run", num_samples=SAMPLES, probe=True, probe_model=averaged) as recorder:
        optimizer = loops.sgd(model, 0.5)
        for x, y in recorder.batches(loops.loader(data)):
            F.cross_entropy(model(x), y).backward()
            recorder.step(y)
            optimizer.step()
            optimizer.zero_grad()
            averaged.update_parameters(model)
        recorder.end_epoch()
    found = open_run(tmp_path / "run").trajectory("alignment", table="probe")[0]
    of = {
        name: [alone(m.double(), x.double(), y)["alignment"] for x, y in zip(data.x, data.y, strict=True)]
        for name, m in (("averaged", averaged.module), ("last", model))
    }
    np.testing.assert_allclose(found, of["averaged"], rtol=1e-4, atol=1e-5)
    assert not np.allclose(found, of["last"], atol=1e-3)


def test_another_model_than_the_trained_one_is_refused(tmp_path: Path) -> None:
    model = Classifier()
    options = {"probe": True, "probe_model": nn.Sequential(nn.Linear(loops.FEATURES, loops.CLASSES))}
    with record(model, tmp_path / "run", num_samples=SAMPLES, **options) as recorder:
        for x, y in recorder.batches(loops.loader()):
            F.cross_entropy(model(x), y).backward()
            recorder.step(y)
        with pytest.raises(InputError, match="none of that name"):
            recorder.end_epoch()
        recorder._probe._probe.model = model  # nothing was lost
        assert recorder.end_epoch().probe.n == SAMPLES


def test_layers_are_not_recorded_from_the_probe(tmp_path: Path) -> None:
    model = Classifier(dropout=0.3)
    measures = ["gradient_disparity"]
    with record(model, tmp_path / "run", num_samples=SAMPLES, layers="all", probe=5, measures=measures) as recorder:
        loops.train(recorder, model, epochs=2)
    assert len(open_run(tmp_path / "run").layer_observations("all")) == 2 * SAMPLES


def test_dicts_and_functions_of_the_user(tmp_path: Path) -> None:
    class Keywords(Classifier):
        def forward(self, inputs: Tensor, flag: Tensor | None = None) -> Tensor:
            return super().forward(inputs)

    def collate(items: list[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
        return {"inputs": torch.stack([x for x, _ in items]), "labels": torch.stack([y for _, y in items])}

    def forward(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        model(batch["inputs"], flag=batch["labels"])
        return batch["labels"]

    means = []
    for name, options in (("dict", {}), ("function", {"probe_forward": forward})):
        model = Keywords()
        with record(model, tmp_path / name, num_samples=SAMPLES, probe=True, **options) as recorder:
            for batch in recorder.batches(loops.loader(collate_fn=collate)):
                F.cross_entropy(model(batch["inputs"]), batch["labels"]).backward()
                recorder.step(batch["labels"])
            means.append(recorder.end_epoch().probe.mean)
    assert means[0] == pytest.approx(means[1])


def one_epoch(recorder: Any, model: nn.Module, data: DataLoader[Any], **end: Any) -> None:
    for batch in recorder.batches(data):
        F.cross_entropy(model(batch[0]), batch[1]).backward()
        recorder.step(batch[1])
    recorder.end_epoch(**end)


def test_batches_that_are_not_understood_say_how(tmp_path: Path) -> None:
    def three(items: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor, int]:
        return torch.stack([x for x, _ in items]), torch.stack([y for _, y in items]), 7

    model = Classifier()
    with record(model, tmp_path / "run", num_samples=SAMPLES, probe=5) as recorder:
        with pytest.raises(InputError, match="probe_forward"):
            one_epoch(recorder, model, loops.loader(collate_fn=three))
        assert model.training
        recorder.end_epoch(probe=loops.loader())  # nothing was lost


def test_a_probe_without_a_loader_says_what_to_pass(tmp_path: Path) -> None:
    model, data = Classifier(), Told()
    with record(model, tmp_path / "run", num_samples=SAMPLES, probe=5) as recorder:
        F.cross_entropy(model(data.x), data.y).backward()
        recorder.step(data.y, sample_ids=range(SAMPLES))
        with pytest.raises(InputError, match=r"end_epoch\(probe=loader\)"):
            recorder.end_epoch()
        recorder.end_epoch(probe=loops.loader(data))  # nothing was lost


def test_samples_of_another_set_are_refused(tmp_path: Path) -> None:
    model = Classifier()
    other = Told(SAMPLES)
    other.y = other.y.roll(1)
    with record(model, tmp_path / "run", num_samples=SAMPLES) as recorder:
        with pytest.raises(SampleIdError, match="keep its label"):
            one_epoch(recorder, model, loops.loader(), probe=loops.loader(other))
        with pytest.raises(SampleIdError, match="announced"):
            recorder.end_epoch(probe=loops.loader(Told(SAMPLES + 4)))
        with pytest.raises(InputError, match="samples in the probe"):
            recorder.end_epoch(probe=loops.loader(Subset(Told(), [])))
        recorder.end_epoch(probe=loops.loader())
    assert open_run(tmp_path / "run").epoch_numbers == (0,)


def test_a_head_that_does_not_run_is_refused(tmp_path: Path) -> None:
    def elsewhere(model: nn.Module, batch: Any) -> Tensor:
        return batch[1]

    model = Classifier()
    with (
        pytest.raises(HeadError, match="no pass"),
        record(model, tmp_path / "run", num_samples=SAMPLES, probe=5, probe_forward=elsewhere) as recorder,
    ):
        one_epoch(recorder, model, loops.loader())


@pytest.mark.parametrize(
    "options", [{"probe": 0}, {"probe": -3}, {"measures": ["llid"]}, {"probe": False, "measures": ["pid"]}]
)
def test_arguments_that_make_no_sense_are_refused_and_no_run_is_begun(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="probe"):
        record(Classifier(), tmp_path / "run", num_samples=SAMPLES, **options)
    assert not (tmp_path / "run").exists()


def test_a_run_without_a_probe_says_how_to_get_one(tmp_path: Path) -> None:
    run = loops.recorded(tmp_path / "run")
    for ask in (lambda: run.trajectory("loss", table="probe"), lambda: run.scan("pyarrow", "probe")):
        with pytest.raises(InputError, match="probe=2000"):
            ask()
    with pytest.raises(InputError, match="observations, probe"):
        run.trajectory("loss", table="layers")
    assert not [name for name in run.epochs().columns if name.startswith("probe")]


def test_an_epoch_that_could_not_be_written_is_the_same_the_second_time(tmp_path: Path) -> None:
    rows = {}
    for name, fails in (("plain", False), ("again", True)):
        model = Classifier()
        with record(model, tmp_path / name, num_samples=SAMPLES, probe=9) as recorder:
            optimizer = loops.sgd(model, 0.5)
            for epoch in range(3):
                for x, y in recorder.batches(loops.loader()):
                    F.cross_entropy(model(x), y).backward()
                    recorder.step(y)
                    optimizer.step()
                    optimizer.zero_grad()
                if fails and epoch:
                    with pytest.MonkeyPatch.context() as patch:
                        patch.setattr("gwa_attrib.files.whole._fsync", full_disk)
                        failed(recorder)
                recorder.end_epoch()
        rows[name] = open_run(tmp_path / name).epochs().drop(columns=["seconds", "probe_seconds"])
    pd.testing.assert_frame_equal(rows["again"], rows["plain"])
    assert rows["plain"]["probe_prediction_changes"].max() > 0


def failed(recorder: Recorder) -> None:
    with pytest.raises(RunError):
        recorder.end_epoch()


def full_disk(_: Path) -> None:
    raise OSError(28, "No space left on device")


def test_the_probe_can_be_read_by_other_engines(tmp_path: Path) -> None:
    run = loops.recorded(tmp_path / "run", epochs=2, probe=7)
    for engine in ("duckdb", "pyarrow"):
        frame = run.scan(engine, "probe").to_native()
        assert len(frame.fetchall() if engine == "duckdb" else frame) == 14


def test_nothing_recorded_is_still_what_is_said_first(tmp_path: Path) -> None:
    with (
        record(Classifier(), tmp_path / "run", num_samples=SAMPLES, probe=5) as recorder,
        pytest.raises(StepOrderError),
    ):
        recorder.end_epoch()
