"""`gwa.record(..., layers=...)`: what is stored of each layer is what a loop over batches of one finds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset, TensorDataset

from gwa_attrib.errors import InputError, LossMismatchError
from tests import layer_loops as loops
from tests.layer_loops import BATCHES, KINDS, SAMPLES, Trial

WEIGHT = torch.tensor([1.0, 3.0, 0.25])
each_kind = pytest.mark.parametrize("kind", KINDS)


def trial(path: Path, kind: str, **options: Any) -> Trial:
    make, x = KINDS[kind]
    return Trial(path, make, x(), **options)


@each_kind
def test_all_layers_are_those_of_the_loop(tmp_path: Path, kind: str) -> None:
    with trial(tmp_path / "run", kind) as case:
        case.epochs(BATCHES, 3)
    trainable = {name for name, p in case.model.named_parameters() if p.requires_grad}
    covered = {p for p in trainable for block in case.run.layers[1:] if p == block or p.startswith(block + ".")}
    assert covered == trainable
    case.check()


def smoothed(z: Tensor, y: Tensor, **options: Any) -> Tensor:
    return F.cross_entropy(z, y, label_smoothing=0.2, **options)


def weighted(z: Tensor, y: Tensor, **options: Any) -> Tensor:
    return F.cross_entropy(z, y, weight=WEIGHT.to(z.dtype), **options)


def both(z: Tensor, y: Tensor, **options: Any) -> Tensor:
    return F.cross_entropy(z, y, weight=WEIGHT.to(z.dtype), label_smoothing=0.1, **options)


LOSSES: dict[str, tuple[Callable[..., Tensor], dict[str, Any]]] = {
    "plain": (F.cross_entropy, {}),
    "smoothed": (smoothed, {"label_smoothing": 0.2}),
    "class weights": (weighted, {"class_weight": WEIGHT}),
    "both": (both, {"class_weight": WEIGHT, "label_smoothing": 0.1}),
}
BATCH_LOSSES: dict[str, Callable[[Callable[..., Tensor]], loops.Loss]] = {
    "mean": lambda own: own,
    "sum": lambda own: lambda z, y: own(z, y, reduction="sum"),
    "times 1024": lambda own: lambda z, y: own(z, y) * 1024,
    "divided by a million": lambda own: lambda z, y: own(z, y) / 1e6,
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("batch_loss", BATCH_LOSSES)
@pytest.mark.parametrize("kind", ["mlp", "convnet"])
def test_the_reduction_and_a_constant_factor_do_not_matter(
    tmp_path: Path, kind: str, loss: str, batch_loss: str
) -> None:
    """Stored are the gradients of each sample's own loss, whatever the batch divides or multiplies by."""
    own, options = LOSSES[loss]
    with trial(tmp_path / "run", kind, own=lambda z, y: own(z, y, reduction="sum"), **options) as case:
        case.epochs(BATCHES, 1, BATCH_LOSSES[batch_loss](own), lr=0.0)
    case.check()


@each_kind
def test_soft_targets(tmp_path: Path, kind: str) -> None:
    soft = torch.randn(SAMPLES, 3).mul(2).softmax(dim=1)
    with trial(tmp_path / "run", kind, y=soft) as case:
        case.epochs(BATCHES, 2)
    case.check()


def per_sample(z: Tensor, y: Tensor, least: float = 0.1, most: float = 2.0) -> Tensor:
    return (F.cross_entropy(z, y, reduction="none") * torch.linspace(least, most, len(y))).sum()


UNDECLARED: dict[str, loops.Loss] = {
    "a weight for each sample": per_sample,
    "weights that are nearly equal": lambda z, y: per_sample(z, y, least=0.995, most=1.005),
    "class weights left out": weighted,
}


@pytest.mark.parametrize("loss", UNDECLARED)
@pytest.mark.parametrize("kind", ["mlp", "convnet"])
def test_weights_that_the_recorder_does_not_know_of(tmp_path: Path, kind: str, loss: str) -> None:
    """The head accepts them, and stores the plain loss, product and norm of each sample: so do the layers."""
    with trial(tmp_path / "run", kind) as case:
        case.right_or_refused(lambda: case.epochs(BATCHES, 1, UNDECLARED[loss]), "weight")


def test_a_loss_that_is_maximised_is_refused(tmp_path: Path) -> None:
    with trial(tmp_path / "run", "mlp") as case, pytest.raises(LossMismatchError, match="cross-entropy"):
        case.epochs(BATCHES, 1, lambda z, y: -F.cross_entropy(z, y))


NAMED: dict[str, tuple[str, list[str]]] = {
    "one": ("convnet", ["3"]),
    "first and last": ("convnet", ["0", "6"]),
    "a parameter": ("attention", ["token"]),
    "a parameter of a module": ("mlp", ["0.bias"]),
    "modules and parameters": ("attention", ["position", "attention", "norm.weight"]),
    "inside attention": ("attention", ["attention.in_proj_weight", "attention.out_proj"]),
}


@pytest.mark.parametrize("name", NAMED)
def test_named_layers_are_those_of_the_loop_and_all_is_all_of_them(tmp_path: Path, name: str) -> None:
    kind, layers = NAMED[name]
    with trial(tmp_path / "run", kind, layers=layers) as case:
        case.epochs(BATCHES, 2)
    assert case.run.layers == ("all", *layers)
    case.check()


@each_kind
def test_the_head_and_the_rest_are_recorded_together(tmp_path: Path, kind: str) -> None:
    """The signals of the head are what they are without layers."""
    make, x = KINDS[kind]
    tables = []
    for layers in ("all", "head"):
        with Trial(tmp_path / layers, make, x(), layers=layers) as case:
            case.epochs(BATCHES, 1)
        tables.append(case.run.observations().to_pandas())
    np.testing.assert_allclose(tables[0].drop(columns=["top_class", "top_prob"]),
                               tables[1].drop(columns=["top_class", "top_prob"]), rtol=1e-5, atol=1e-6)  # fmt: skip


def test_the_kernel_of_the_head_as_a_layer_has_the_signals_of_the_head(tmp_path: Path) -> None:
    with trial(tmp_path / "run", "mlp", layers=["4.weight"]) as case:
        case.epochs(BATCHES, 2)
    for signal in ("alignment", "dot", "grad_norm"):
        of_layer = case.run.trajectory(signal, layer="4.weight")
        np.testing.assert_allclose(of_layer, case.run.trajectory(signal), rtol=2e-5, atol=1e-6, err_msg=signal)


@each_kind
def test_a_last_batch_of_one(tmp_path: Path, kind: str) -> None:
    with trial(tmp_path / "run", kind) as case:
        case.epochs([list(range(SAMPLES - 1)), [SAMPLES - 1]], 2)
    case.check()


@each_kind
def test_a_first_batch_of_one_settles_nothing_wrong(tmp_path: Path, kind: str) -> None:
    """Of one sample anything could be the dimension of the samples."""
    with trial(tmp_path / "run", kind) as case:
        case.epochs([[0], list(range(1, SAMPLES))], 2)
    case.check()


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 10])
@pytest.mark.parametrize("kind", ["sequence", "attention"])
def test_sequences_as_long_as_a_batch(tmp_path: Path, kind: str, length: int) -> None:
    """The shape of an input does not say which dimension holds the samples."""
    make = (lambda: loops.Attends(length)) if kind == "attention" else loops.sequence_net
    with Trial(tmp_path / "run", make, loops.sequences(length=length)) as case:
        case.epochs(BATCHES, 1)
        case.epochs([[5, 4, 3, 2], [0, 1, 6], [7], [8, 9]], 1)
    case.check()


@pytest.mark.parametrize("first", [True, False], ids=["first", "later"])
@each_kind
def test_an_empty_batch_is_no_observation(tmp_path: Path, kind: str, first: bool) -> None:
    """Samplers that split by class or by host give them."""
    with trial(tmp_path / "run", kind) as case:
        case.epochs([[], *BATCHES] if first else [*BATCHES, []], 1, lambda z, y: F.cross_entropy(z, y, reduction="sum"))
    case.check()


def numbered(case: Trial) -> TensorDataset:
    return TensorDataset(case.x, case.y, torch.arange(SAMPLES))


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_of_a_loader_with_workers_and_subsets(tmp_path: Path, workers: int) -> None:
    with trial(tmp_path / "run", "convnet") as case:
        chosen = Subset(numbered(case), [11, 3, 4, 0, 7, 8, 1])
        loader = DataLoader(chosen, 3, shuffle=True, num_workers=workers)
        optimizer = torch.optim.Adam(case.model.parameters(), 0.01)
        for _ in range(2):
            for x, y, ids in case.recorder.batches(loader):
                case.expect(ids.tolist())
                F.cross_entropy(case.model(x), y).backward()
                case.recorder.step(y)
                optimizer.step()
                optimizer.zero_grad()
            case.end_epoch()
    case.check()


@each_kind
def test_batches_of_a_loader_that_are_split_for_the_model(tmp_path: Path, kind: str) -> None:
    """Gradient accumulation: what goes forward is smaller than the batch that the loader gave."""
    with trial(tmp_path / "run", kind) as case:
        for x, y, ids in case.recorder.batches(DataLoader(numbered(case), 6)):
            for part in torch.arange(len(ids)).split(2):
                case.expect(ids[part].tolist())
                F.cross_entropy(case.model(x[part]), y[part]).backward()
                case.recorder.step(y[part], sample_ids=ids[part])
        case.end_epoch()
    case.check()


@each_kind
def test_a_forward_of_another_size_before_the_first_batch(tmp_path: Path, kind: str) -> None:
    """To print a summary of the model, say."""
    with trial(tmp_path / "run", kind) as case:
        for x, y, ids in case.recorder.batches(DataLoader(numbered(case), 6)):
            case.model(x[:2])
            case.expect(ids.tolist())
            F.cross_entropy(case.model(x), y).backward()
            case.recorder.step(y)
        case.end_epoch()
    case.check()


class Takes(nn.Module):
    """A model for pairs: its arguments have names, one is a mask and one may be left out."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.tokens = nn.Embedding(9, 6)
        self.project = nn.Linear(in_features=4, out_features=6)
        self.norm = nn.LayerNorm(6)
        self.head = nn.Linear(6, 3)

    def forward(self, ids: Tensor, *, mask: Tensor, extra: Tensor | None = None) -> Tensor:
        x = (self.norm(self.tokens(ids)) * mask.unsqueeze(2)).sum(1)
        return self.head(input=x if extra is None else x + self.project(input=extra).tanh())


class TakesOne(Takes):
    """The same, in one dict."""

    def forward(self, batch: dict[str, Tensor]) -> Tensor:  # type: ignore[override]
        return super().forward(**batch)


def pairs() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    mask = torch.rand(SAMPLES, 5, generator=generator) < 0.8
    ids = torch.randint(0, 9, (SAMPLES, 5), generator=generator)
    return {"ids": ids, "mask": mask.float(), "extra": torch.randn(SAMPLES, 4, generator=generator)}


@pytest.mark.parametrize("given", [["ids", "mask"], ["ids", "mask", "extra"]], ids=["unused layer", "all layers"])
def test_a_model_with_keyword_arguments(tmp_path: Path, given: list[str]) -> None:
    """A layer that no sample reached has a gradient of zero: norm 0, and no direction."""
    inputs = {name: value for name, value in pairs().items() if name in given}
    with Trial(tmp_path / "run", Takes, inputs) as case:
        case.epochs(BATCHES, 2)
    case.check()


def test_a_model_that_takes_one_dict(tmp_path: Path) -> None:
    with Trial(tmp_path / "run", TakesOne, ({**pairs()},)) as case:
        case.epochs(BATCHES, 2)
    case.check()


def test_ids_given_by_hand_are_of_any_kind_and_order(tmp_path: Path) -> None:
    with trial(tmp_path / "run", "mlp") as case:
        for ids in (torch.tensor([5, 2, 9]), np.array([0, 11, 4]), range(6, 9)):
            case.recorder.step(case.backward([int(i) for i in ids]), sample_ids=ids)
        case.end_epoch()
    case.check()


def test_a_sample_seen_twice_in_an_epoch_has_two_rows(tmp_path: Path) -> None:
    """In two batches; and in one."""
    with trial(tmp_path / "run", "mlp") as case:
        case.epochs([[0, 1, 2], [2, 3, 0]], 1)
    case.check()
    table = case.run.layer_observations("all").to_pandas()
    assert table["sample_id"].tolist() == [0, 0, 1, 2, 2, 3]
    mean = table.groupby("sample_id")["dot"].mean()
    np.testing.assert_allclose(case.run.trajectory("dot", layer="all")[0, :4], mean, rtol=1e-6)


@pytest.mark.parametrize("layers", [["nowhere"], [], ["0", "0.weight"], ["1"], "some"])
def test_layers_that_are_not_there_are_refused(tmp_path: Path, layers: Any) -> None:
    with pytest.raises(InputError):
        trial(tmp_path / "run", "mlp", layers=layers)
    assert not (tmp_path / "run").exists()
