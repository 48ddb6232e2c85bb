"""However the block ends, the model is free, the run says how it ended, and what was written can be read."""

import json
from pathlib import Path
from typing import Any

import pytest

from gwa_attrib.errors import InputError, RunError, RunExistsError
from gwa_attrib.recording.begin import record
from gwa_attrib.store import inspect, open_run
from tests import loops
from tests.loops import Classifier


def interrupted(path: Path, error: BaseException, epochs: int) -> None:
    model = Classifier()
    with record(model, path, num_samples=loops.SAMPLES) as recorder:
        loops.train(recorder, model, epochs=epochs)
        recorder.step(loops.backward(model, [0, 1]), sample_ids=[0, 1])
        raise error


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), SystemExit(1)], ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("epochs", [0, 1, 3])
def test_the_run_is_marked_and_its_whole_epochs_can_be_read(tmp_path: Path, error: BaseException, epochs: int) -> None:
    with pytest.raises(type(error)) as caught:
        interrupted(tmp_path / "run", error, epochs)
    assert caught.value is error
    run = open_run(tmp_path / "run")
    assert run.info["status"] == "interrupted"
    assert inspect(run)["epochs"] == epochs
    if epochs:
        expected = loops.recorded(tmp_path / "expected", epochs=epochs)
        loops.same_observations(run, expected)


def test_while_it_is_recorded_a_run_says_so_and_can_be_read(tmp_path: Path) -> None:
    model = Classifier()
    with record(model, tmp_path / "run", num_samples=loops.SAMPLES) as recorder:
        assert open_run(tmp_path / "run").info["status"] == "recording"
        loops.train(recorder, model)
        assert open_run(tmp_path / "run").trajectory("loss").shape == (1, loops.SAMPLES)
    assert open_run(tmp_path / "run").info["status"] == "complete"


def test_a_forgotten_end_epoch_is_mentioned(tmp_path: Path) -> None:
    model = Classifier()
    with (
        pytest.warns(UserWarning, match=r"end_epoch\(\) after the last epoch. Found 2 observations") as caught,
        record(model, tmp_path / "run", num_samples=loops.SAMPLES) as recorder,
    ):
        recorder.step(loops.backward(model, [0, 1]), sample_ids=[0, 1])
    assert [Path(warning.filename).name for warning in caught] == [Path(__file__).name]


def test_an_open_epoch_can_still_be_ended_after_the_block(tmp_path: Path) -> None:
    model = Classifier()
    with (
        pytest.warns(UserWarning, match="end_epoch"),
        record(model, tmp_path / "run", num_samples=loops.SAMPLES) as recorder,
    ):
        recorder.step(loops.backward(model, [0, 1]), sample_ids=[0, 1])
    assert recorder.end_epoch().n == 2
    assert open_run(tmp_path / "run").epoch_numbers == (0,)


def test_a_disk_that_is_full_at_the_end_does_not_keep_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """run.json cannot be written any more: the hooks are gone all the same, and the cause is not hidden."""
    model = Classifier()

    def full(*_: Any) -> None:
        raise RunError(expected="room", found="none", todo="Free space.")

    def training() -> None:
        with record(model, tmp_path / "run", num_samples=loops.SAMPLES):
            monkeypatch.setattr("gwa_attrib.store.writer.RunWriter.update_info", full)
            raise KeyError("the real reason")

    with pytest.raises((RunError, KeyError)) as caught:
        training()
    assert not model.head._forward_hooks
    reasons = [caught.value, caught.value.__context__, caught.value.__cause__]
    assert any(isinstance(reason, KeyError) for reason in reasons)


def test_an_existing_run_is_refused_and_kept(tmp_path: Path) -> None:
    before = loops.recorded(tmp_path / "run")
    with pytest.raises(RunExistsError, match="overwrite=True"):
        record(Classifier(), tmp_path / "run", num_samples=loops.SAMPLES)
    loops.same_observations(open_run(tmp_path / "run"), before)


def test_overwriting_starts_anew(tmp_path: Path) -> None:
    before = loops.recorded(tmp_path / "run", epochs=3)
    after = loops.recorded(tmp_path / "run", epochs=1, overwrite=True)
    assert after.epoch_numbers == (0,)
    assert len(after.epochs()) == 1
    assert after.info["run_id"] != before.info["run_id"]


BAD_ARGUMENTS: dict[str, dict[str, Any]] = {
    "config with NaN": {"config": {"lr": float("nan")}},
    "config with an object": {"config": {"model": object()}},
    "unknown head": {"head": "nowhere"},
    "unknown signal": {"signals": ["nonsense"]},
    "too few keys": {"keys": ["a"]},
    "no samples": {"num_samples": 0},
}


@pytest.mark.parametrize("options", [pytest.param(options, id=name) for name, options in BAD_ARGUMENTS.items()])
def test_bad_arguments_never_cost_the_earlier_run(tmp_path: Path, options: dict[str, Any]) -> None:
    before = loops.recorded(tmp_path / "run", epochs=2)
    with pytest.raises((InputError, RuntimeError)):
        record(Classifier(), tmp_path / "run", **{"num_samples": loops.SAMPLES, "overwrite": True, **options})
    loops.same_observations(open_run(tmp_path / "run"), before)


def test_run_json_tells_what_the_run_is(tmp_path: Path) -> None:
    config = {"lr": 0.1, "model": "small", "layers": [1, 2], "nested": {"a": None, "b": True}}
    loops.recorded(tmp_path / "run", class_names=["Ä", "</script>", "c"], config=config)
    info = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert info["config"] == config
    assert info["class_names"] == ["Ä", "</script>", "c"]
    assert (info["head"], info["num_samples"], info["schema_version"]) == ("head", loops.SAMPLES, 1)
    assert {"python", "torch", "numpy", "pyarrow"} <= set(info["versions"])


def test_nothing_half_written_is_left(tmp_path: Path) -> None:
    loops.recorded(tmp_path / "run", epochs=2)
    folder = tmp_path / "run"
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    parts = {f"{kind}/epoch=0000{e}-rank=00000-a0.parquet" for kind in ("observations", "epochs") for e in (0, 1)}
    assert names == {"run.json", "samples.parquet", *parts}
