"""Trainings by Lightning, recorded: the same numbers as a loop of one's own, and the same training as without."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import gwa_attrib as gwa
from gwa_attrib.errors import InputError, RunExistsError, StepOrderError
from gwa_attrib.store import inspect
from tests import loops
from tests.integrations.plain import EPOCHS, needs, plain_run, same_weights
from tests.loops import SAMPLES, Classifier, Told

pytestmark = [
    needs("lightning", "lightning"),
    # Of Lightning about our small trainings: few workers, few batches, no logger.
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:The number of training batches"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step`"),
    pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`"),
    pytest.mark.filterwarnings("ignore:.*enable_checkpointing"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory"),
    pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec"),
]
PACKAGES = ["lightning.pytorch", "pytorch_lightning"]


def module_of(package: str, dropout: float = 0.2, **options: Any) -> Any:
    """A LightningModule around the classifier of the loops."""
    L = importlib.import_module(package)

    class Module(L.LightningModule):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.net = Classifier(dropout=dropout)

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x)

        def training_step(self, batch: Any, _: int) -> Tensor:
            x, y = batch
            return F.cross_entropy(self.net(x), y)

        def validation_step(self, batch: Any, _: int) -> None:
            x, y = batch
            self.log("val_accuracy", (self.net(x).argmax(dim=1) == y).float().mean())

        def configure_optimizers(self) -> Any:
            return options.get("optimizer", loops.sgd)(self.net)

    return Module()


def fit(
    package: str,
    callbacks: list[Any],
    folder: Path,
    *,
    val: bool = False,
    module: Any = None,
    epochs: int = EPOCHS,
    ckpt: Any = None,
    train: Any = None,
    **options: Any,
) -> tuple[Any, Any]:
    """Trainer and module of a training with the seed of the plain loop."""
    L = importlib.import_module(package)
    module = module or module_of(package)
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False, "accelerator": "cpu"}
    trainer = L.Trainer(
        max_epochs=epochs,
        callbacks=callbacks,
        default_root_dir=folder,
        **{**quiet, "enable_checkpointing": False, **options},
    )
    torch.manual_seed(1)
    trainer.fit(
        module, loops.loader(shuffle=True) if train is None else train, loops.loader() if val else None, ckpt_path=ckpt
    )
    return trainer, module


def callback(path: Path, **options: Any) -> Any:
    from gwa_attrib.integrations.lightning import GWACallback

    return GWACallback(path, num_samples=SAMPLES, **options)


@pytest.mark.parametrize("package", PACKAGES)
def test_the_numbers_and_the_weights_are_those_of_a_plain_loop(package: str, tmp_path: Path) -> None:
    trainer, module = fit(package, [callback(tmp_path / "run")], tmp_path)
    expected, model = plain_run(tmp_path / "expected")
    found = gwa.open_run(tmp_path / "run")
    loops.same_observations(found, expected)
    same_weights(module.net, model)
    assert (found.info["status"], found.info["head"]) == ("complete", "net.head")
    last = found.epochs().iloc[-1]
    logged = {name: trainer.callback_metrics[name].item() for name in ("mean_alignment", "coverage", "gwa")}
    assert logged == pytest.approx({"mean_alignment": last["mean"], "coverage": 1.0, "gwa": last["gwa"]}, rel=1e-6)
    assert "fraction_negative" in trainer.callback_metrics
    assert not module.net.head._forward_hooks
    assert "process_dataloader" not in vars(trainer.strategy)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_it_is_trained_as_without_recording(accumulate: int, tmp_path: Path) -> None:
    package = PACKAGES[0]
    train = [loops.loader(shuffle=True, num_workers=workers) for workers in (2, 2)]
    options = {"accumulate_grad_batches": accumulate, "val": True, "epochs": 2}
    _, plain = fit(package, [], tmp_path, train=train[0], **options)
    _, recorded = fit(package, [callback(tmp_path / "run", probe=8)], tmp_path, train=train[1], **options)
    same_weights(recorded, plain)
    run = gwa.open_run(tmp_path / "run")
    assert run.epochs()["coverage"].tolist() == [1.0, 1.0]
    assert run.epochs()["val_accuracy"].notna().all()
    assert run.epochs()["probe_n"].tolist() == [8, 8]


class Noisy(Told):
    """Another view of each sample, drawn where it is read."""

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        x, y = super().__getitem__(index)
        return x + torch.from_numpy(np.random.rand(len(x))).float(), y


def test_workers_are_seeded_as_without_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As ``seed_everything(..., workers=True)`` asks."""
    monkeypatch.setenv("PL_SEED_WORKERS", "1")
    loaders = [loops.loader(Noisy(), num_workers=2) for _ in range(2)]
    _, plain = fit(PACKAGES[0], [], tmp_path, train=loaders[0], epochs=1)
    _, recorded = fit(PACKAGES[0], [callback(tmp_path / "run")], tmp_path, train=loaders[1], epochs=1)
    same_weights(recorded, plain)


@pytest.mark.parametrize("val", [False, True], ids=["no validation", "validation"])
def test_a_training_goes_on_from_a_checkpoint(val: bool, tmp_path: Path) -> None:
    """As if it had not been interrupted, where the order of the batches is the same; also where the run is ahead of the
    checkpoint. With validation a checkpoint is made before the epoch is said to end."""
    package = PACKAGES[0]
    L = importlib.import_module(package)

    def part(name: str, epochs: int, *more: Any, ckpt: Any = None) -> None:
        options = {"train": loops.loader(), "module": module_of(package, dropout=0.0), "val": val}
        callbacks = [callback(tmp_path / name), *more]
        fit(package, callbacks, tmp_path, epochs=epochs, ckpt=ckpt, enable_checkpointing=bool(more), **options)

    part("whole", 4)
    part("run", 3, L.callbacks.ModelCheckpoint(tmp_path / "kept", save_top_k=-1, filename="{epoch}", monitor=None))
    part("run", 4, ckpt=tmp_path / "kept" / "epoch=1.ckpt")
    run, whole = gwa.open_run(tmp_path / "run"), gwa.open_run(tmp_path / "whole")
    loops.same_observations(run, whole)
    facts = inspect(run)
    assert (facts["epochs"], facts["missing_epochs"], facts["lowest_coverage"]) == (4, [], 1.0)
    assert run.info["attempts"] == 2


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    first = callback(tmp_path / "run")
    trainer, _ = fit(PACKAGES[0], [first], tmp_path, epochs=1)
    trainer.save_checkpoint(tmp_path / "x.ckpt")
    with pytest.raises(RunExistsError):
        fit(PACKAGES[0], [callback(tmp_path / "run")], tmp_path)
    fit(PACKAGES[0], [callback(tmp_path / "run", overwrite=True)], tmp_path, epochs=1)
    with pytest.raises(InputError, match="the run that the checkpoint was recorded in"):
        fit(PACKAGES[0], [callback(tmp_path / "run")], tmp_path, ckpt=tmp_path / "x.ckpt")


@pytest.mark.parametrize("package", PACKAGES)
def test_the_rule_stops_and_the_weights_of_its_epoch_come_back(package: str, tmp_path: Path) -> None:
    from gwa_attrib.integrations.lightning import GWAEarlyStopping

    recording = callback(tmp_path / "run")
    stopping = GWAEarlyStopping(recording, rule="validation", metric="val_accuracy", patience=2, epochs=20)
    states: dict[int, Any] = {}
    L = importlib.import_module(package)

    class Keep(L.Callback):  # type: ignore[name-defined,misc]
        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            states[trainer.current_epoch] = {k: v.clone() for k, v in pl_module.state_dict().items()}

    _, module = fit(package, [recording, stopping, Keep()], tmp_path, val=True, epochs=20)
    accuracy = gwa.open_run(tmp_path / "run").epochs()["val_accuracy"].to_numpy()
    assert len(accuracy) < 20
    best = stopping.best_epoch
    assert best == 2 + accuracy[2:].argmax() == len(accuracy) - 3
    same_weights(module, states[best])


def test_the_weights_that_a_rule_keeps_are_in_the_checkpoint(tmp_path: Path) -> None:
    from gwa_attrib.integrations.lightning import GWAEarlyStopping

    def callbacks() -> list[Any]:
        recording = callback(tmp_path / "run")
        return [recording, GWAEarlyStopping(recording, rule="validation", epochs=2)]

    first = callbacks()
    trainer, _ = fit(PACKAGES[0], first, tmp_path, val=True, epochs=2)
    trainer.save_checkpoint(tmp_path / "x.ckpt")
    again = callbacks()
    fit(PACKAGES[0], again, tmp_path, val=True, epochs=4, ckpt=tmp_path / "x.ckpt")
    table = gwa.open_run(tmp_path / "run").epochs()
    assert len(table) == 4
    assert again[1].best_epoch == table["val_accuracy"].to_numpy().argmax()


def test_what_cannot_be_recorded_is_refused(tmp_path: Path) -> None:
    from gwa_attrib.integrations.lightning import GWAEarlyStopping

    with pytest.raises(InputError, match="one training loader"):
        fit(PACKAGES[0], [callback(tmp_path / "a")], tmp_path, train=[loops.loader(), loops.loader()])
    with pytest.raises(InputError, match="one GWACallback"):
        fit(PACKAGES[0], [callback(tmp_path / "e"), callback(tmp_path / "f")], tmp_path)
    recording = callback(tmp_path / "b")
    with pytest.raises(InputError, match="after the callback that records"):
        fit(PACKAGES[0], [GWAEarlyStopping(recording), recording], tmp_path)
    lbfgs = module_of(PACKAGES[0], optimizer=lambda net: torch.optim.LBFGS(net.parameters()))
    with pytest.raises(StepOrderError, match="LBFGS"):
        fit(PACKAGES[0], [callback(tmp_path / "c")], tmp_path, module=lbfgs)
    assert gwa.open_run(tmp_path / "c").info["status"] == "interrupted"
    assert not lbfgs.net.head._forward_hooks


def test_batches_of_a_form_of_ones_own_need_a_function_for_the_targets(
    tmp_path: Path, without_type_checks: None
) -> None:
    samples = [{"x": loops.Told()[i][0], "y": i % 3} for i in range(SAMPLES)]
    train = torch.utils.data.DataLoader(samples, 6)  # type: ignore[arg-type]
    module = module_of(PACKAGES[0])
    module.training_step = lambda batch, _=0: F.cross_entropy(module.net(batch["x"]), batch["y"])
    with pytest.raises(InputError, match="targets="):
        fit(PACKAGES[0], [callback(tmp_path / "a")], tmp_path, train=train, module=module)
    recording = callback(tmp_path / "b", targets=lambda batch: batch["y"])
    fit(PACKAGES[0], [recording], tmp_path, train=train, module=module)
    assert gwa.open_run(tmp_path / "b").labels.tolist() == [i % 3 for i in range(SAMPLES)]


def test_it_writes_to_a_logger_as_the_module_does(tmp_path: Path) -> None:
    L = importlib.import_module(PACKAGES[0])
    logger = L.loggers.CSVLogger(tmp_path)
    fit(PACKAGES[0], [callback(tmp_path / "run")], tmp_path, logger=logger)
    text = (Path(logger.log_dir) / "metrics.csv").read_text()
    assert {"gwa", "mean_alignment", "fraction_negative", "coverage"} <= set(text.splitlines()[0].split(","))
    assert len(text.splitlines()) == 1 + EPOCHS
