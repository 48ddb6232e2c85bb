"""The closed form is of cross-entropy: a loss that it fits is accepted, any other is found, whenever it can be."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gwa_attrib.errors import InputError, LossMismatchError, SampleIdError
from gwa_attrib.recording.begin import record
from gwa_attrib.store import open_run
from tests import loops
from tests.loops import Classifier

WEIGHT = torch.tensor([1.0, 3.0, 0.25])


class Ends(Classifier):
    """A model that does something to its logits."""

    def __init__(self, end: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.end = end

    def forward(self, x: Tensor) -> Tensor:
        return self.end(super().forward(x))


def zero_head(model: Classifier) -> Classifier:
    """As in fine-tuning: the first predictions are uniform, and most losses look alike there."""
    nn.init.zeros_(model.head.weight)
    nn.init.zeros_(model.head.bias)
    return model


def per_sample(z: Tensor, y: Tensor) -> Tensor:
    return (F.cross_entropy(z, y, reduction="none") * torch.linspace(0, 2, len(y))).sum()


ACCEPTED: dict[str, tuple[Callable[[], nn.Module], loops.Loss, dict[str, Any]]] = {
    "mean": (Classifier, F.cross_entropy, {}),
    "sum": (Classifier, lambda z, y: F.cross_entropy(z, y, reduction="sum"), {}),
    "scaled": (Classifier, lambda z, y: F.cross_entropy(z, y) * 1024, {}),
    "divided": (Classifier, lambda z, y: F.cross_entropy(z, y) / 1e6, {}),
    "weighted per sample": (Classifier, per_sample, {}),
    "log_softmax in the model": (lambda: Ends(lambda z: z.log_softmax(dim=1)), F.nll_loss, {}),
    "log_softmax twice": (lambda: Ends(lambda z: z.log_softmax(dim=1)), F.cross_entropy, {}),
    "a constant added": (lambda: Ends(lambda z: z + 3), F.cross_entropy, {}),
    "smoothing": (
        Classifier,
        lambda z, y: F.cross_entropy(z, y, label_smoothing=0.2),
        {"label_smoothing": 0.2},
    ),
    "class weights": (Classifier, lambda z, y: F.cross_entropy(z, y, weight=WEIGHT), {"class_weight": WEIGHT}),
    "both": (
        Classifier,
        lambda z, y: F.cross_entropy(z, y, weight=WEIGHT, label_smoothing=0.1),
        {"label_smoothing": 0.1, "class_weight": WEIGHT},
    ),
    "weight decay in the loss": (Classifier, lambda z, y: F.cross_entropy(z, y) + 0 * z.sum(), {}),
}


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in ACCEPTED.items()])
def test_is_accepted(tmp_path: Path, case: tuple[Callable[[], nn.Module], loops.Loss, dict[str, Any]]) -> None:
    make, loss, options = case
    run = loops.recorded(tmp_path / "run", make(), epochs=2, loss=loss, **options)
    assert run.info["status"] == "complete"


REFUSED: dict[str, tuple[Callable[[], Classifier], loops.Loss, dict[str, Any]]] = {
    "softmax in the model": (lambda: Ends(lambda z: z.softmax(dim=1)), F.cross_entropy, {}),
    "temperature in the model": (lambda: Ends(lambda z: z / 3), F.cross_entropy, {}),
    "dropout behind the head": (lambda: Ends(lambda z: F.dropout(z, 0.5)), F.cross_entropy, {}),
    "smoothing not passed": (Classifier, lambda z, y: F.cross_entropy(z, y, label_smoothing=0.3), {}),
    "smoothing passed, not used": (Classifier, F.cross_entropy, {"label_smoothing": 0.3}),
    "smoothed class weights not passed": (
        Classifier,
        lambda z, y: F.cross_entropy(z, y, weight=WEIGHT, label_smoothing=0.3),
        {"label_smoothing": 0.3},
    ),
    "targets shuffled in the loss": (Classifier, lambda z, y: F.cross_entropy(z, y.roll(1)), {}),
    "margin loss": (Classifier, F.multi_margin_loss, {}),
    "squared error": (Classifier, lambda z, y: F.mse_loss(z, F.one_hot(y, 3).float()), {}),
    "focal loss": (Classifier, lambda z, y: ((1 - z.softmax(1)).square() * -z.log_softmax(1))[:, 0].mean(), {}),
    "a penalty on the logits": (Classifier, lambda z, y: F.cross_entropy(z, y) + z.square().sum(), {}),
}


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in REFUSED.items()])
def test_is_refused_on_the_first_batch(tmp_path: Path, case: tuple[Callable, loops.Loss, dict[str, Any]]) -> None:
    make, loss, options = case
    model = make()
    with record(model, tmp_path / "run", num_samples=loops.SAMPLES, **options) as recorder:
        y = loops.backward(model, list(range(loops.SAMPLES)), loss)
        with pytest.raises(LossMismatchError, match=r"'head'.*label_smoothing=.*temperature"):
            recorder.step(y, sample_ids=range(loops.SAMPLES))


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in REFUSED.items()])
def test_is_found_later_where_the_first_batch_cannot_tell(
    tmp_path: Path, case: tuple[Callable, loops.Loss, dict[str, Any]]
) -> None:
    """A head of zeros: at uniform predictions the gradients of many losses are parallel, and soon they are not."""
    make, loss, options = case
    model = zero_head(make())
    optimizer = loops.sgd(model, 1.0)
    with pytest.raises(LossMismatchError):
        loops.recorded(tmp_path / "run", model, epochs=10, loss=loss, optimizer=optimizer, **options)


def test_a_softmax_in_the_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(LossMismatchError, match="softmax applied twice"):
        loops.recorded(tmp_path / "run", Ends(lambda z: z.softmax(dim=1)))


def test_a_loss_that_changes_is_found_in_the_epoch_it_changes(tmp_path: Path) -> None:
    model = Classifier()

    def training() -> None:
        with record(model, tmp_path / "run", num_samples=loops.SAMPLES) as recorder:
            loops.train(recorder, model)
            loops.train(recorder, model, loss=lambda z, y: F.cross_entropy(z, y, label_smoothing=0.4))

    with pytest.raises(LossMismatchError):
        training()
    assert open_run(tmp_path / "run").epoch_numbers == (0,)


def test_targets_in_another_order_than_the_loss_had_are_found(tmp_path: Path) -> None:
    model, ids = Classifier(), list(range(loops.SAMPLES))
    with record(model, tmp_path / "run", num_samples=loops.SAMPLES) as recorder:
        y = loops.backward(model, ids)
        with pytest.raises(LossMismatchError, match="in the same order"):
            recorder.step(y.roll(1), sample_ids=ids)


def test_soft_targets_are_targets_and_their_likeliest_class_is_the_label(tmp_path: Path) -> None:
    model, ids = Classifier(), list(range(loops.SAMPLES))
    data = loops.Told()
    soft = torch.randn(loops.SAMPLES, 3).softmax(dim=1)
    with record(model, tmp_path / "run", num_samples=loops.SAMPLES) as recorder:
        F.cross_entropy(model(data.x), soft).backward()
        recorder.step(soft, sample_ids=ids)
        recorder.end_epoch()
    assert open_run(tmp_path / "run").labels.tolist() == soft.argmax(dim=1).tolist()


def recorded_epoch(path: Path, *batches: tuple[Tensor, Tensor]) -> None:
    """One epoch over inputs and targets of samples 0, 1, 2..."""
    model = Classifier()
    with record(model, path, num_samples=loops.SAMPLES) as recorder:
        for x, y in batches:
            F.cross_entropy(model(x), y).backward()
            recorder.step(y, sample_ids=range(len(y)))
        recorder.end_epoch()


def test_mixed_samples_cannot_keep_their_ids(tmp_path: Path) -> None:
    """mixup: the label of the mix is not that of the sample, and changes from epoch to epoch."""
    x, y = loops.Told().x, F.one_hot(loops.Told().y, 3)

    def mixed(share: float) -> tuple[Tensor, Tensor]:
        return x * share + x.roll(1, 0) * (1 - share), y * share + y.roll(1, 0) * (1 - share)

    with pytest.raises(SampleIdError, match="mixup"):
        recorded_epoch(tmp_path / "run", mixed(0.2), mixed(0.8))


@pytest.mark.parametrize("position", [0, 1], ids=["first batch", "later batch"])
def test_a_sample_that_the_loss_ignores_has_no_place(tmp_path: Path, position: int) -> None:
    """-100 is torch's ignore_index: there is no label to be right or wrong about."""
    x, good = loops.Told().x[:4], loops.Told().y[:4]
    batches = [(x, good), (x, good)]
    batches[position] = (x, torch.tensor([0, -100, 2, 0]))
    with pytest.raises(InputError, match=r"0\.\.2.*-100.*ignore_index"):
        recorded_epoch(tmp_path / "run", *batches)


@pytest.mark.parametrize("label", [-1, 3, 99])
def test_a_target_that_is_no_class_is_refused(tmp_path: Path, label: int) -> None:
    model = Classifier()

    def training() -> None:
        with record(model, tmp_path / "run", num_samples=loops.SAMPLES) as recorder:
            y = loops.backward(model, [0, 1, 2, 3]).clone()
            y[1] = label
            recorder.step(y, sample_ids=[0, 1, 2, 3])
            recorder.end_epoch()

    with pytest.raises((InputError, LossMismatchError)):
        training()


@pytest.mark.parametrize(
    "targets", [torch.rand(4), torch.tensor([0.0, 1.0, 2.0, 0.0]), torch.zeros(4, 1, dtype=torch.int64)]
)
def test_targets_that_are_no_targets_of_cross_entropy_are_refused(tmp_path: Path, targets: Tensor) -> None:
    model = Classifier()
    with record(model, tmp_path / "run", num_samples=loops.SAMPLES) as recorder:
        loops.backward(model, [0, 1, 2, 3])
        with pytest.raises(InputError):
            recorder.step(targets, sample_ids=[0, 1, 2, 3])


@pytest.mark.parametrize("weight", [torch.ones(2), torch.ones(4), torch.ones(1, 3)])
def test_class_weights_have_to_fit_the_head(tmp_path: Path, weight: Tensor) -> None:
    model = Classifier()
    with (
        pytest.raises(InputError, match="class_weight"),
        record(model, tmp_path / "run", num_samples=loops.SAMPLES, class_weight=weight) as recorder,
    ):
        recorder.step(loops.backward(model, [0, 1, 2, 3]), sample_ids=[0, 1, 2, 3])


@pytest.mark.parametrize("smoothing", [-0.1, 1.5, float("nan")])
def test_a_smoothing_outside_of_0_and_1_is_refused(tmp_path: Path, smoothing: float) -> None:
    with pytest.raises(InputError, match="label_smoothing"):
        record(Classifier(), tmp_path / "run", num_samples=loops.SAMPLES, label_smoothing=smoothing)


def test_an_overflow_of_the_loss_scale_is_no_mismatch(tmp_path: Path) -> None:
    """Mixed precision begins with steps whose gradient is infinite; the scaler skips them."""
    model, ids = Classifier(), [0, 1, 2, 3]
    with record(model, tmp_path / "run", num_samples=loops.SAMPLES) as recorder:
        y = loops.backward(model, ids, lambda z, y: F.cross_entropy(z, y) * 3e38 * 10)
        recorder.step(y, sample_ids=ids)
        recorder.step(loops.backward(model, ids), sample_ids=ids)
        assert recorder.end_epoch().n == 8
