"""A training that is cut off and goes on from a checkpoint leaves the run of one that was not."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from gwa_attrib.errors import InputError, RunExistsError
from gwa_attrib.recording.begin import record
from gwa_attrib.recording.recorder import Recorder
from gwa_attrib.store import Run, inspect, open_run
from gwa_attrib.store.kept import save_checkpoint
from tests import loops
from tests.loops import SAMPLES, Classifier, Told


class PowerCutError(Exception):
    """The power goes off."""


class Training:
    """With dropout, momentum and shuffling; all of it in a checkpoint after each epoch."""

    def __init__(self) -> None:
        self.model = Classifier(dropout=0.3)
        self.optimizer = torch.optim.SGD(self.model.parameters(), 0.1, momentum=0.9)
        self.checkpoints: dict[int, Any] = {}

    def save(self, epoch: int) -> None:
        states = {name: value.clone() for name, value in self.model.state_dict().items()}
        momenta = [self.optimizer.state[p]["momentum_buffer"].clone() for p in self.model.parameters()]
        self.checkpoints[epoch] = states, momenta, torch.get_rng_state()

    def load(self, epoch: int) -> None:
        states, momenta, random = self.checkpoints[epoch]
        self.model.load_state_dict(states)
        for parameter, momentum in zip(self.model.parameters(), momenta, strict=True):
            self.optimizer.state[parameter]["momentum_buffer"] = momentum.clone()
        torch.set_rng_state(random)

    def run(self, recorder: Recorder, epochs: range, cut: tuple[int, int] | None = None) -> None:
        """`cut`: at the start of which step of which epoch the power goes off."""
        loader = loops.loader(shuffle=True)
        for epoch in epochs:
            for step, (x, y) in enumerate(recorder.batches(loader)):
                if (epoch, step) == cut:
                    raise PowerCutError
                F.cross_entropy(self.model(x), y).backward()
                recorder.step(y)
                self.optimizer.step()
                self.optimizer.zero_grad()
            recorder.end_epoch(val_accuracy=epoch / 10)
            self.save(epoch + 1)


def all_of(run: Run) -> dict[str, pd.DataFrame]:
    """Every number that is stored, but for wall times."""
    epochs = run.epochs()
    tables = {
        "observations": run.observations().to_pandas(),
        "epochs": epochs.drop(columns=[name for name in epochs if name.endswith("seconds")]),
        "samples": run.samples,
    }
    if "probe_mean" in epochs:
        tables["probe"] = run.observations(table="probe").to_pandas()
    if run.layers:
        tables["layers"] = run.layer_observations().to_pandas()
    return tables


OPTIONS: dict[str, dict[str, Any]] = {
    "the head": {},
    "a probe and measures": {"probe": 8, "measures": ["gradient_disparity", "llid"]},
    "all layers": {"layers": "all"},
    "few signals": {"signals": ["loss"]},
    "keys and columns": {"keys": [f"k{i}" for i in range(SAMPLES)], "columns": {"odd": np.arange(SAMPLES) % 2}},
}


@pytest.mark.parametrize("cut", [(0, 2), (2, 0), (2, 3)], ids=str)
@pytest.mark.parametrize("options", [pytest.param(options, id=name) for name, options in OPTIONS.items()])
def test_every_number_is_that_of_an_uninterrupted_training(
    tmp_path: Path, options: dict[str, Any], cut: tuple[int, int]
) -> None:
    whole = Training()
    torch.manual_seed(1)
    with record(whole.model, tmp_path / "whole", num_samples=SAMPLES, **options) as recorder:
        whole.run(recorder, range(4))

    first = Training()
    torch.manual_seed(1)
    with (
        pytest.raises(PowerCutError),
        record(first.model, tmp_path / "cut", num_samples=SAMPLES, **options) as recorder,
    ):
        first.run(recorder, range(4), cut)

    again = Training()
    again.checkpoints = first.checkpoints
    torch.manual_seed(1)
    if cut[0]:
        again.load(cut[0])
    with record(again.model, tmp_path / "cut", num_samples=SAMPLES, resume=True, **options) as recorder:
        again.run(recorder, range(cut[0], 4))

    expected, found = all_of(open_run(tmp_path / "whole")), all_of(open_run(tmp_path / "cut"))
    assert expected.keys() == found.keys()
    for name in expected:
        pd.testing.assert_frame_equal(found[name], expected[name], check_exact=True)
    facts = inspect(open_run(tmp_path / "cut"))
    assert (facts["status"], facts["missing_epochs"], facts["epochs"]) == ("complete", [], 4)
    assert open_run(tmp_path / "cut").info["attempts"] == 2


def test_an_older_checkpoint_gives_up_the_epochs_after_it(tmp_path: Path) -> None:
    expected = loops.recorded(tmp_path / "expected", epochs=1)
    loops.recorded(tmp_path / "run", epochs=4, probe=8)
    for epoch in range(4):
        save_checkpoint(tmp_path / "run", epoch, {})
    with record(Classifier(), tmp_path / "run", num_samples=SAMPLES, resume=True, probe=8) as recorder:
        recorder.rewind(1)
        run = open_run(tmp_path / "run")
        assert run.epoch_numbers == (0,)
        loops.same_observations(run, expected)
        assert len(recorder.epochs()) == 1
    assert [path.name for path in sorted((tmp_path / "run" / "checkpoints").iterdir())] == ["epoch=00000.pt"]


def test_a_subset_goes_on_with_its_ids(tmp_path: Path) -> None:
    part = torch.utils.data.Subset(Told(), range(5, 15))
    expected = loops.recorded(tmp_path / "expected", Classifier(), loops.loader(part), epochs=2, num_samples=10)
    model, optimizer = Classifier(), None
    for epoch in range(2):
        with record(model, tmp_path / "run", num_samples=10, resume=bool(epoch)) as recorder:
            loops.train(recorder, model, loops.loader(part), optimizer=optimizer)
    loops.same_observations(open_run(tmp_path / "run"), expected)
    assert open_run(tmp_path / "run").sample_ids.tolist() == list(range(5, 15))


def test_an_epoch_of_which_only_a_part_was_written_is_recorded_again(tmp_path: Path) -> None:
    """PowerCutError off between the two files of an epoch."""
    expected = loops.recorded(tmp_path / "expected", epochs=2)
    loops.recorded(tmp_path / "run", epochs=2)
    next((tmp_path / "run" / "epochs").glob("epoch=00001*")).unlink()
    (tmp_path / "run" / "_tmp" / "epoch=00001-rank=00000-a0.parquet.0123").write_bytes(b"half")
    model, optimizer = Classifier(), None
    with record(model, tmp_path / "run", num_samples=SAMPLES, resume=True) as recorder:
        assert open_run(tmp_path / "run").epoch_numbers == (0,)
        recorder.rewind(0)
        loops.train(recorder, model, epochs=2, optimizer=optimizer)
    loops.same_observations(open_run(tmp_path / "run"), expected)
    assert inspect(open_run(tmp_path / "run"))["half_written"] == 0


def test_where_no_run_is_one_begins(tmp_path: Path) -> None:
    loops.same_observations(
        loops.recorded(tmp_path / "run", resume=True), loops.recorded(tmp_path / "expected", overwrite=True)
    )


def test_a_folder_that_is_no_run_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(RunExistsError):
        record(Classifier(), tmp_path, num_samples=SAMPLES, resume=True)


OTHER: dict[str, dict[str, Any]] = {
    "num_samples": {"num_samples": 21},
    "class_names": {"class_names": ["a", "b", "c"]},
    "signals": {"signals": ["loss"]},
    "layers": {"layers": "all"},
    "keys and columns": {"keys": [f"k{i}" for i in range(SAMPLES)]},
    "overwrite": {"overwrite": True},
}


@pytest.mark.parametrize("named", list(OTHER))
def test_another_recording_does_not_go_on_here(tmp_path: Path, named: str) -> None:
    before = loops.recorded(tmp_path / "run", epochs=2)
    with pytest.raises(InputError, match=named):
        record(Classifier(), tmp_path / "run", **{"num_samples": SAMPLES, "resume": True, **OTHER[named]})
    loops.same_observations(open_run(tmp_path / "run"), before)
    assert open_run(tmp_path / "run").info == before.info


def test_a_checkpoint_of_later_than_the_run_is_refused(tmp_path: Path) -> None:
    loops.recorded(tmp_path / "run", epochs=2)
    with (
        record(Classifier(), tmp_path / "run", num_samples=SAMPLES, resume=True) as recorder,
        pytest.raises(InputError, match="at most the 2 epochs"),
    ):
        recorder.rewind(3)


def test_a_probe_needs_what_the_training_said_of_the_label(tmp_path: Path) -> None:
    loops.recorded(tmp_path / "run", signals=["loss"], probe=8)
    with pytest.raises(InputError, match="p_label"):
        record(Classifier(), tmp_path / "run", num_samples=SAMPLES, signals=["loss"], probe=8, resume=True)


def test_a_label_that_has_changed_since_is_found(tmp_path: Path) -> None:
    loops.recorded(tmp_path / "run")
    model = Classifier()
    with record(model, tmp_path / "run", num_samples=SAMPLES, resume=True) as recorder:
        y = loops.backward(model, [1, 2])
        recorder.step(y, sample_ids=[2, 1])
        with pytest.raises(Exception, match="keep its label"):
            recorder.end_epoch()
        recorder.rewind(1)  # or the open epoch would be mentioned
