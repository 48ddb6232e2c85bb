"""Layers in real trainings: what happens around and inside a step leaves the numbers right, or is refused."""

import gc
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import gwa_attrib as gwa
from gwa_attrib.errors import GWAError, StepOrderError
from tests.layer_loops import BATCHES, KINDS, Trial
from tests.passes import PASSES, Pass

each_kind = pytest.mark.parametrize("kind", KINDS)
IDS = [0, 1, 2, 3]


def trial(path: Path, kind: str, **options) -> Trial:
    make, x = KINDS[kind]
    return Trial(path, make, x(), **options)


@each_kind
def test_with_gradient_accumulation_each_batch_is_recorded(tmp_path: Path, kind: str) -> None:
    with trial(tmp_path / "run", kind) as case:
        optimizer = torch.optim.SGD(case.model.parameters(), 0.1)
        for i, ids in enumerate([[3, 0, 5], [7, 1], [2, 4, 11, 6], [8, 9, 10]]):
            case.step(ids, lambda z, y: F.cross_entropy(z, y) / 2)
            if i % 2:
                optimizer.step()
                optimizer.zero_grad()
        case.end_epoch()
    case.check()


@pytest.mark.parametrize("size", [0.0, 1e-9])
@each_kind
def test_weights_that_start_at_zero_beside_a_bias_that_does_not(tmp_path: Path, kind: str, size: float) -> None:
    """What is left of their products is the rounding of the bias: it is no mismatch, and with zeros it is none."""
    make, x = KINDS[kind]
    layers = [name for name, m in make().named_modules() if isinstance(m, nn.Linear | nn.Conv2d) and m.bias is not None]
    assert layers
    for layer in layers:
        for what in ("all", [layer]) if not size else ("all",):
            made = scaled(make, layer, size)
            with Trial(tmp_path / f"{layer} {what}", made, x(), layers=what) as case:
                case.step(IDS, F.cross_entropy)
                case.end_epoch()
            if not size:
                case.check()


@pytest.mark.parametrize("layers", ["all", ["weight"]])
def test_a_head_that_starts_at_zero_has_products_of_exactly_zero(tmp_path: Path, layers: str | list[str]) -> None:
    """Of any width: in which order a sum is taken, and so what it rounds to, depends on that."""
    for classes in range(3, 12):
        torch.manual_seed(classes)
        x = torch.randn(60, 24)
        made = scaled(lambda classes=classes: nn.Linear(24, classes), "", 0.0)
        with Trial(tmp_path / str(classes), made, x, torch.arange(60) % 3, layers=layers) as case:
            case.step(list(range(60)), F.cross_entropy)
            case.end_epoch()
        case.check()
        assert not gwa.open_run(tmp_path / str(classes)).trajectory("dot", layer="weight").any()


def scaled(make: Callable[[], nn.Module], layer: str, size: float) -> Callable[[], nn.Module]:
    """The model with the weights of one layer times `size`, and a bias of about one."""

    def made() -> nn.Module:
        model = make()
        module = model.get_submodule(layer)
        with torch.no_grad():
            module.weight *= size
            module.bias.copy_(torch.linspace(-1.0, 1.3, len(module.bias)))
        return model

    return made


@pytest.mark.parametrize("between", PASSES)
@each_kind
def test_other_passes_leave_no_trace(tmp_path: Path, kind: str, between: Pass) -> None:
    """Before each batch, between backward and step, and after the step."""
    with trial(tmp_path / "run", kind) as case:
        optimizer = torch.optim.SGD(case.model.parameters(), 0.1)
        for ids in BATCHES:
            between(case.model, case.x[:4])
            targets = case.backward(ids)
            between(case.model, case.x[:4])
            case.recorder.step(targets, sample_ids=ids)
            between(case.model, case.x[:4])
            optimizer.step()
            optimizer.zero_grad()
        case.end_epoch()
    case.check()


@each_kind
def test_a_graph_that_is_thrown_away_is_freed(tmp_path: Path, kind: str) -> None:
    """Recording must not hold on to activations: of a forward pass without backward, nor after a step."""
    kept: list[weakref.ref[Tensor]] = []
    with trial(tmp_path / "run", kind) as case:
        handles = [
            module.register_forward_hook(lambda module, inputs, out: kept.append(weakref.ref(out)))
            for module in case.model.modules()
            if not list(module.children())
        ]
        out = case.model(case.x)
        assert kept
        del out
        gc.collect()
        assert [reference() for reference in kept if reference() is not None] == []
        case.step(IDS)
        gc.collect()
        assert [reference() for reference in kept if reference() is not None] == []
        for handle in handles:
            handle.remove()
        case.end_epoch()


@pytest.mark.parametrize("kind", [*KINDS, "raw parameters"])
def test_two_backward_passes_through_one_graph_are_refused(tmp_path: Path, kind: str) -> None:
    raw = {"layers": ["token", "position"]} if kind not in KINDS else {}
    with trial(tmp_path / "run", "attention" if raw else kind, **raw) as case:
        loss = F.cross_entropy(case.model(case.x[IDS]), case.y[IDS])

        def twice() -> None:
            loss.backward(retain_graph=True)
            loss.backward()
            case.recorder.step(case.y[IDS], sample_ids=IDS)

        with pytest.raises(StepOrderError, match=r"recorder\.step"):
            twice()


def test_one_backward_pass_over_two_batches_is_refused(tmp_path: Path) -> None:
    with trial(tmp_path / "run", "mlp") as case:

        def together() -> None:
            first, second = (F.cross_entropy(case.model(case.x[ids]), case.y[ids]) for ids in ([0, 1, 2], [3, 4, 5]))
            (first + second).backward()
            case.recorder.step(case.y[:3], sample_ids=[0, 1, 2])

        with pytest.raises(StepOrderError, match="backward pass"):
            together()


def test_one_step_for_two_backward_passes_is_refused(tmp_path: Path) -> None:
    with trial(tmp_path / "run", "mlp") as case:

        def skipped() -> None:
            case.backward(IDS)
            case.step([4, 5, 6])

        with pytest.raises(StepOrderError, match=r"recorder\.step"):
            skipped()


@pytest.mark.parametrize("refused", ["two batches", "no backward", "one graph twice", "ids"])
@pytest.mark.parametrize("kind", ["mlp", "convnet", "attention"])
def test_after_a_refusal_recording_goes_on(tmp_path: Path, kind: str, refused: str) -> None:
    """An error out of the backward pass may cost one more step, which says so; nothing of it stays."""
    with trial(tmp_path / "run", kind) as case:

        def wrong() -> None:
            loss = F.cross_entropy(case.model(case.x[IDS]), case.y[IDS])
            if refused == "one graph twice":
                loss.backward(retain_graph=True)
            if refused != "no backward":
                loss.backward()
            if refused == "two batches":
                F.cross_entropy(case.model(case.x[IDS]), case.y[IDS]).backward()
            case.recorder.step(case.y[IDS], sample_ids=IDS[1:] if refused == "ids" else IDS)

        with pytest.raises(GWAError):
            wrong()
        with suppress(StepOrderError):
            case.recorder.step(case.y[IDS], sample_ids=IDS)
            case.expect(IDS)
        case.model.zero_grad()
        case.step([5, 6, 7])
        case.step([8, 9])
        case.end_epoch()
    case.check()


@pytest.mark.parametrize("kind", ["mlp", "convnet", "attention"])
def test_after_an_error_in_the_backward_pass_the_next_batch_is_recorded(tmp_path: Path, kind: str) -> None:
    """Out of memory, say: the loop catches it and goes on with smaller batches."""
    with trial(tmp_path / "run", kind) as case:
        first = next(case.model.parameters())

        def full(grad: Tensor) -> None:
            raise torch.OutOfMemoryError("out of memory")

        handle = first.register_hook(full)
        with pytest.raises(torch.OutOfMemoryError):
            F.cross_entropy(case.model(case.x[IDS]), case.y[IDS]).backward()
        handle.remove()
        case.model.zero_grad()

        def smaller() -> None:
            case.step([5, 6, 7])
            case.end_epoch()

        case.right_or_refused(smaller, r"recorder\.step")


@each_kind
def test_several_optimizers_step_after_the_recorder(tmp_path: Path, kind: str) -> None:
    with trial(tmp_path / "run", kind) as case:
        *body, head = (list(module.parameters()) for module in case.model.children())
        optimizers = [torch.optim.Adam([p for ps in body for p in ps], 0.01), torch.optim.SGD(head, 0.5)]
        for ids in BATCHES:
            case.step(ids)
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad()
        case.end_epoch()
    case.check()


class WritesToData(torch.optim.SGD):
    """As old optimizers do: without a trace in the version of the parameter."""

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.data.add_(p.grad, alpha=-group["lr"])


HEADS = {"mlp": "4", "convnet": "6", "sequence": "5", "attention": "head"}


@each_kind
@pytest.mark.parametrize("change", ["optimizer", "optimizer of data", "in the backward pass"])
def test_weights_of_a_layer_that_change_before_the_step_are_noticed(tmp_path: Path, kind: str, change: str) -> None:
    """The optimizer of the body steps first, or fused into the backward pass; the head's own waits."""
    with trial(tmp_path / "run", kind, head=HEADS[kind]) as case:
        *body, _ = case.model.children()
        parameters = [p for module in body for p in module.parameters()]
        optimizer = (WritesToData if "data" in change else torch.optim.SGD)(parameters, 10.0)

        def moved(p: Tensor) -> None:
            with torch.no_grad():
                p.sub_(10.0 * p.grad)  # type: ignore[operator]

        def train() -> None:
            hooks = [p.register_post_accumulate_grad_hook(moved) for p in parameters if "backward" in change]
            for ids in BATCHES:
                targets = case.backward(ids)
                if not hooks:
                    optimizer.step()
                case.recorder.step(targets, sample_ids=ids)
                case.model.zero_grad()
            case.end_epoch()

        case.right_or_refused(train, r"recorder\.step")


def test_weight_decay_in_the_loss_is_no_part_of_a_sample(tmp_path: Path) -> None:
    """Its gradient reaches the weights beside the layers; what the samples contribute stays theirs."""
    with trial(tmp_path / "run", "convnet") as case:

        def decayed(z: Tensor, y: Tensor) -> Tensor:
            return F.cross_entropy(z, y) + 0.1 * sum(p.square().sum() for p in case.model.parameters())

        case.right_or_refused(lambda: case.epochs(BATCHES, 2, decayed), r"weight_decay|penalty|loss")


class TwoHeads(nn.Module):
    """Deep supervision: a second head half-way, whose loss is added."""

    def __init__(self, first: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = first
        self.stem, self.body, self.head, self.side = (nn.Linear(*s) for s in ((6, 8), (8, 8), (8, 3), (8, 3)))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.stem(x).tanh()
        if self.first == "side":
            side = self.side(x)
            return self.head(self.body(x).tanh()), side
        return self.head(self.body(x).tanh()), self.side(x)


@pytest.mark.parametrize("first", ["side", "head"])
def test_a_second_head_adds_its_loss_or_is_refused(tmp_path: Path, first: str) -> None:
    """The gradient of a sample is then that of the sum of both of its losses."""

    def loss(z: tuple[Tensor, Tensor], y: Tensor) -> Tensor:
        return F.cross_entropy(z[0], y) + 0.3 * F.cross_entropy(z[1], y)

    options = {"own": loss, "head": "head"}
    with Trial(tmp_path / "run", lambda: TwoHeads(first), KINDS["mlp"][1](), **options) as case:
        case.right_or_refused(lambda: case.epochs(BATCHES, 2, loss), r"layers=")
