"""What cannot be measured is refused before or during the backward pass, saying what it is; never measured wrongly."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gwa_attrib.errors import LayerError, LayerMismatchError, RecordingError, StepOrderError
from gwa_attrib.gradients import LayerCapture, make_plan
from tests.gradients.oracle import Body, Readout, assert_exact, captured, measure, targets_of

TABLES = [
    (lambda: nn.Embedding(5, 4, max_norm=1.0), "max_norm"),
    (lambda: nn.Embedding(5, 4, scale_grad_by_freq=True), "scale_grad_by_freq"),
    (lambda: nn.EmbeddingBag(5, 4, max_norm=1.0), "max_norm"),
    (lambda: nn.EmbeddingBag(5, 4, scale_grad_by_freq=True), "scale_grad_by_freq"),
    (lambda: nn.EmbeddingBag(5, 4, mode="max"), "mode='max'"),
]


@pytest.mark.parametrize(("table", "reason"), TABLES, ids=[reason for _, reason in TABLES])
def test_tables_whose_gradients_are_not_the_samples_own_are_refused(
    table: Callable[[], nn.Module], reason: str
) -> None:
    model = nn.Sequential(table(), nn.Linear(4, 3))
    with pytest.raises(LayerError, match=reason) as error:
        make_plan(model, "all")
    assert "'0'" in str(error.value)
    make_plan(model, ["1"])  # leaving it out is the way out
    model[0].requires_grad_(False)
    make_plan(model, "all")


UNKNOWN: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], str]] = {
    "a quotient": (lambda x, p: x / p, "DivBackward0"),
    "an exponential": (lambda x, p: x * p.exp(), "ExpBackward0"),
    "entries by number": (lambda x, p: x * p[torch.tensor([3, 2, 1, 0, 4, 5])], "IndexBackward0"),
    "a norm": (lambda x, p: F.layer_norm(x, (6,), p), "NativeLayerNormBackward0"),
    "a concatenation": (lambda x, p: x + torch.cat([p[:3], p[3:]]), "CatBackward0"),
    "its own sum": (lambda x, p: x * p.sum(), "SumBackward0"),
    "an addition in place to a view": (lambda x, p: x.flatten(1)[:, :6].add_(p), "CopySlices"),
}


@pytest.mark.parametrize("use", UNKNOWN)
def test_an_operation_that_is_not_understood_is_named(use: str) -> None:
    apply, node = UNKNOWN[use]
    x = torch.randn(4, 5, 6)
    body = Body(lambda self, x: apply(x + 0.0, self.raw), raw=nn.Parameter(torch.rand(6) + 1.0))
    model = Readout(body, x)
    with pytest.raises(LayerError, match=rf"'body\.raw'.*{node}"):
        measure(model, (x,))
    measure(model, (x,), layers=["head"])
    assert_exact(model, x[:1])  # of a batch of one every gradient is the sample's own


def test_recurrent_layers_are_refused_by_name() -> None:
    for layer in (nn.LSTM(6, 4, batch_first=True), nn.GRU(6, 4), nn.RNN(6, 4)):
        x = torch.randn(4, 5, 6)
        model = Readout(Body(lambda self, x: self.layer(x)[0], layer=layer), x)
        with pytest.raises(LayerError, match=r"'body\.layer\.(weight|bias)_"):
            measure(model, (x,))
        measure(model, (x,), layers=["head"])


def test_rows_that_are_no_multiple_of_the_samples_are_refused() -> None:
    """Packed sequences: nobody can say whose row is whose."""

    def forward(self: Body, x: Tensor) -> Tensor:
        packed = torch.tanh(self.layer(x.flatten(0, 1)[:-1]))
        return torch.cat([packed, packed[:1]]).unflatten(0, x.shape[:2])

    x = torch.randn(4, 3, 6)
    model = Readout(Body(forward, layer=nn.Linear(6, 5)), x)
    with pytest.raises(LayerError, match=r"body\.layer'"):
        measure(model, (x,))


def test_an_input_without_the_samples_in_it_is_refused() -> None:
    def forward(self: Body, x: Tensor) -> Tensor:
        return self.layer(x.unflatten(0, (2, 3)).movedim(1, 3)).movedim(3, 1).flatten(0, 1)

    x = torch.randn(6, 5, 7)
    model = Readout(Body(forward, layer=nn.Linear(3, 3)), x)
    with pytest.raises(LayerError, match=r"'body\.layer'.*6 samples"):
        measure(model, (x,))


def test_a_use_that_was_not_seen_is_noticed_by_the_sum() -> None:
    """Without it the weight would silently lack a part of its gradient."""

    def forward(self: Body, x: Tensor) -> Tensor:
        return self.layer(x) + F.linear(x, self.layer.weight)

    x = torch.randn(4, 6)
    with pytest.raises(LayerMismatchError, match=r"'body\.layer\.weight'"):
        measure(Readout(Body(forward, layer=nn.Linear(6, 5)), x), (x,))


def perceptron() -> tuple[nn.Module, Tensor]:
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)), torch.randn(4, 6)


@pytest.mark.parametrize("same_graph", [True, False])
def test_a_second_backward_pass_before_the_numbers_are_taken_is_refused(same_graph: bool) -> None:
    model, x = perceptron()
    with LayerCapture(model, make_plan(model, "all")) as capture:
        loss = F.cross_entropy(model(x), targets_of(4))
        capture.begin(4, loss.grad_fn)
        loss.backward(retain_graph=True)
        if not same_graph:
            loss = F.cross_entropy(model(x), targets_of(4))
        with pytest.raises(StepOrderError, match="once between two steps"):
            loss.backward()


def test_a_gradient_before_the_beginning_is_refused() -> None:
    model, x = perceptron()
    with LayerCapture(model, make_plan(model, "all")), pytest.raises(LayerError, match="to come before"):
        F.cross_entropy(model(x), targets_of(4)).backward()


def test_after_a_refusal_the_next_step_is_measured() -> None:
    model, x = perceptron()
    with LayerCapture(model, make_plan(model, "all")) as capture:
        expected = captured(model, (x,), targets_of(4), capture)
        loss = F.cross_entropy(model(x), targets_of(4))
        capture.begin(4, loss.grad_fn)
        loss.backward(retain_graph=True)
        with pytest.raises(RecordingError):
            loss.backward()
        capture.take()
        found = captured(model, (x,), targets_of(4), capture)
    for name, value in expected.items():
        assert torch.equal(found[name].norm, value.norm)
