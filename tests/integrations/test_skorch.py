"""Trainings by skorch, recorded."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import gwa_attrib as gwa
from gwa_attrib.errors import InputError, RunExistsError
from tests import loops
from tests.integrations.plain import EPOCHS, needs, plain_run, same_weights
from tests.loops import SAMPLES, Classifier, Told

pytestmark = needs("skorch", "skorch")


class Softmax(Classifier):
    """As skorch's classifiers are by default: probabilities, for the NLLLoss of their logarithms."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x).softmax(dim=1)


def fitted(callbacks: list[Any], module: Any = Classifier, *, epochs: int = EPOCHS, **options: Any) -> Any:
    """A net after a training with the seed of the plain loop."""
    import skorch

    criterion = nn.NLLLoss if module is Softmax else nn.CrossEntropyLoss
    settings = {
        "module__dropout": 0.2,
        "criterion": criterion,
        "optimizer": torch.optim.SGD,
        "lr": 0.1,
        "batch_size": 6,
        "iterator_train__shuffle": True,
        "train_split": None,
        "verbose": 0,
        **options,
    }
    net = skorch.NeuralNetClassifier(module, callbacks=callbacks, max_epochs=epochs, **settings)
    net.initialize()
    torch.manual_seed(1)
    data = Told()
    return net.partial_fit(data.x, data.y)


def callback(path: Path, **options: Any) -> Any:
    from gwa_attrib.integrations.skorch import GWACallback

    return GWACallback(path, num_samples=SAMPLES, **options)


def test_the_numbers_and_the_weights_are_those_of_a_plain_loop(tmp_path: Path) -> None:
    net = fitted([callback(tmp_path / "run")])
    expected, model = plain_run(tmp_path / "expected")
    found = gwa.open_run(tmp_path / "run")
    loops.same_observations(found, expected)
    same_weights(net.module_, model)
    table = found.epochs()
    assert net.history[:, "mean_alignment"] == table["mean"].tolist()
    assert net.history[:, "gwa"] == table["gwa"].tolist()
    assert net.history[:, "coverage"] == [1.0] * EPOCHS
    assert net.history[:, "fraction_negative"] == table["fraction_negative"].tolist()
    assert found.info["status"] == "complete"
    assert not net.module_.head._forward_hooks
    assert "get_iterator" not in vars(net)


def test_a_softmax_and_a_held_out_part_are_no_trouble(tmp_path: Path) -> None:
    from skorch.dataset import ValidSplit

    options = {"train_split": ValidSplit(4, stratified=True), "iterator_train__num_workers": 2}
    plain = fitted([], Softmax, **options)
    recorded = fitted([callback(tmp_path / "run", probe=8)], Softmax, **options)
    same_weights(recorded.module_, plain.module_)
    run = gwa.open_run(tmp_path / "run")
    held_out = set(ValidSplit(4, stratified=True)(Told(), Told().y)[1].indices)
    assert set(run.sample_ids[run.labels < 0]) | (set(range(SAMPLES)) - set(run.sample_ids)) == held_out
    assert run.epochs()["valid_acc"].tolist() == recorded.history[:, "valid_acc"]


def test_the_rule_stops_and_the_weights_of_its_epoch_come_back(tmp_path: Path) -> None:
    from skorch.callbacks import Callback

    from gwa_attrib.integrations.skorch import GWAEarlyStopping

    states = []

    class Keep(Callback):  # type: ignore[misc]
        def on_epoch_begin(self, net: Any, **_: Any) -> None:
            states.append({name: value.clone() for name, value in net.module_.state_dict().items()})

    recording = callback(tmp_path / "run")
    stopping = GWAEarlyStopping(recording, rule="mean_alignment", patience=2, epochs=30)
    net = fitted([recording, Keep(), stopping], epochs=30, lr=2.0)
    values = gwa.open_run(tmp_path / "run").epochs()["mean"].to_numpy()
    assert len(values) < 30
    assert stopping.best_epoch == 3 + values[3:].argmax() == len(values) - 3
    same_weights(net.module_, states[stopping.best_epoch + 1])


def test_what_cannot_be_recorded_is_refused(tmp_path: Path) -> None:
    from gwa_attrib.integrations.skorch import GWAEarlyStopping

    recording = callback(tmp_path / "run")
    with pytest.raises(InputError, match="has begun"):
        _ = recording.recorder
    with pytest.raises(InputError, match="after the callback that records"):
        fitted([GWAEarlyStopping(recording), recording])
    fitted([recording], epochs=1)
    with pytest.raises(RunExistsError):
        fitted([callback(tmp_path / "run")])


def test_an_error_in_the_training_leaves_a_net_that_can_be_trained_again(tmp_path: Path) -> None:
    from skorch import NeuralNetClassifier

    recording = callback(tmp_path / "run", overwrite=True)
    data = Told()
    net = NeuralNetClassifier(
        Classifier, criterion=nn.CrossEntropyLoss, callbacks=[recording], train_split=None, verbose=0, max_epochs=2
    )
    with pytest.raises(IndexError):
        net.fit(data.x, data.y + 7)
    net.fit(data.x, data.y)
    assert gwa.open_run(tmp_path / "run").info["status"] == "complete"
    assert not net.module_.head._forward_hooks
