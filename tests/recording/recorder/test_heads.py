"""Which layer is the head: named, given, or found; and what cannot be one is refused with the layers that can."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gwa_attrib.errors import HeadError, InputError, RecordingError
from gwa_attrib.recording.begin import record
from gwa_attrib.store import open_run
from tests import loops
from tests.loops import Classifier

IDS = [0, 1, 2, 3, 4]


def attempt(path: Path, model: nn.Module, **options: Any) -> str | None:
    """One step; the name of the head."""
    with record(model, path, num_samples=loops.SAMPLES, **options) as recorder:
        recorder.step(loops.backward(model, IDS), sample_ids=IDS)
        recorder.end_epoch()
    assert open_run(path).info["head"] == recorder.head
    return recorder.head


class Reordered(Classifier):
    """The head is registered first, as some libraries do: order of registration is not order of use."""

    def __init__(self) -> None:
        super().__init__()
        body, head = self.body, self.head
        del self.body, self.head
        self.head, self.body = head, body
        self.unused = nn.Linear(3, 3)


class WithAuxiliary(Classifier):
    """A second output, of a layer that is used before the head and has no part in the loss."""

    def __init__(self) -> None:
        super().__init__()
        self.auxiliary = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        features = self.features(x)
        self.extra = self.auxiliary(features)
        return self.head(features)


class AuxiliaryLast(WithAuxiliary):
    """The layer without a part in the loss runs after the head."""

    def forward(self, x: Tensor) -> Tensor:
        features = self.features(x)
        logits = self.head(features)
        self.extra = self.auxiliary(features)
        return logits


class ByKeyword(Classifier):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(input=self.features(x))


@pytest.mark.parametrize("kind", [Classifier, Reordered, WithAuxiliary, AuxiliaryLast, ByKeyword])
@pytest.mark.parametrize("how", ["found", "named", "given"])
def test_the_last_linear_layer_of_the_loss_is_the_head(tmp_path: Path, kind: type[Classifier], how: str) -> None:
    model = kind()
    head = {"found": None, "named": "head", "given": model.head}[how]
    assert attempt(tmp_path / "run", model, head=head) == "head"


def test_a_nested_head_has_its_whole_name(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Sequential(Classifier()))
    assert attempt(tmp_path / "run", model) == "0.0.head"


def test_a_model_may_be_its_head(tmp_path: Path) -> None:
    assert attempt(tmp_path / "run", nn.Linear(loops.FEATURES, loops.CLASSES)) == ""


def test_a_head_to_be_found_is_known_after_the_first_step(tmp_path: Path) -> None:
    model = Classifier()
    with record(model, tmp_path / "run", num_samples=loops.SAMPLES) as recorder:
        assert recorder.head is None
        recorder.step(loops.backward(model, IDS), sample_ids=IDS)
        assert recorder.head == "head"
        assert not model.body[0]._forward_hooks, "only the head is watched from now on"
        recorder.end_epoch()


class Cosine(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return 10 * F.linear(F.normalize(x), F.normalize(self.weight))


class Scaled(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * 1.5


class Noisy(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.dropout(x, 0.5))


def with_head(head: nn.Module) -> Classifier:
    model = Classifier()
    model.head = head
    return model


@pytest.mark.parametrize("kind", [Cosine, Scaled, Noisy])
@pytest.mark.parametrize("name", ["head", None])
def test_a_subclass_that_is_not_linear_is_refused(tmp_path: Path, kind: type[nn.Linear], name: str | None) -> None:
    with pytest.raises(HeadError, match=r"'head'.*W h \+ b.*head="):
        attempt(tmp_path / "run", with_head(kind(8, 3)), head=name)


def convolutional() -> nn.Module:
    return nn.Sequential(nn.Unflatten(1, (1, loops.FEATURES)), nn.Conv1d(1, 3, loops.FEATURES), nn.Flatten())


@pytest.mark.parametrize(
    ("make", "head", "message"),
    [
        (convolutional, None, "no linear layer"),
        (convolutional, "1", "'1' is a Conv1d"),
        (Classifier, "body", "'body' is a Sequential.*body.0, head"),
        (Classifier, "fc", "no module 'fc'.*body.0, head"),
        (Classifier, "hea", "no module 'hea'"),
        (Classifier, "", "'' is a Classifier"),
    ],
)
def test_what_is_no_head_is_refused_with_what_is_one(
    tmp_path: Path, make: Callable[[], nn.Module], head: str | None, message: str
) -> None:
    with pytest.raises(HeadError, match=message):
        record(make(), tmp_path / "run", num_samples=loops.SAMPLES, head=head)
    assert not (tmp_path / "run").exists(), "nothing is written for a model that cannot be recorded"


def test_a_module_of_another_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HeadError, match="not in the model"):
        record(Classifier(), tmp_path / "run", num_samples=loops.SAMPLES, head=nn.Linear(8, 3))


def test_a_hidden_layer_named_as_head_is_refused(tmp_path: Path) -> None:
    model = Classifier()
    with pytest.raises(RecordingError, match=r"body\.0"):
        attempt(tmp_path / "run", model, head="body.0")


def test_a_head_over_positions_is_refused(tmp_path: Path) -> None:
    class PerToken(Classifier):
        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.features(x).unsqueeze(1).expand(-1, 2, -1)).mean(dim=1)

    with pytest.raises(HeadError, match=r"\[5, 2, 8\]"):
        attempt(tmp_path / "run", PerToken())


def test_a_head_with_two_names_can_be_called_by_either(tmp_path: Path) -> None:
    for name in ("head", "classifier"):
        model = Classifier()
        model.classifier = model.head
        assert attempt(tmp_path / name, model, head=name) in ("head", "classifier")


def trained(path: Path | None, wrap: Callable[[nn.Linear], nn.Module]) -> dict[str, Tensor]:
    """Weights and buffers after two steps, recorded into `path` if there is one."""
    model = with_head(wrap(Classifier().head))
    optimizer = loops.sgd(model)
    with record(model, path, num_samples=loops.SAMPLES) if path else nullcontext() as recorder:
        for ids in (IDS, [7, 8, 9]):
            y = loops.backward(model, ids)
            if recorder:
                recorder.step(y, sample_ids=ids)
            optimizer.step()
        if recorder:
            recorder.end_epoch()
    return model.state_dict()


@pytest.mark.parametrize("wrap", [nn.utils.parametrizations.weight_norm, nn.utils.parametrizations.spectral_norm])
def test_a_head_whose_weight_is_computed_is_left_alone_or_refused(tmp_path: Path, wrap: Callable) -> None:
    """Looking at the weight of a spectral norm moves its power iteration: recording must not look, or not record."""
    expected = trained(None, wrap)
    try:
        found = trained(tmp_path / "run", wrap)
    except HeadError as error:
        assert "head=" in error.todo  # noqa: PT017  refusing is as good as leaving alone
        return
    for name, value in expected.items():
        assert value.equal(found[name]), name


@pytest.mark.parametrize("names", [["a", "b"], ["a", "b", "c", "d"]])
def test_class_names_have_to_fit_the_head(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(InputError, match=f"3.*{len(names)}.*head="):
        attempt(tmp_path / "run", Classifier(), class_names=names)


def test_without_names_the_classes_are_numbered(tmp_path: Path) -> None:
    attempt(tmp_path / "run", Classifier())
    assert open_run(tmp_path / "run").class_names == ("0", "1", "2")


def test_a_frozen_body_and_a_frozen_head_can_be_recorded(tmp_path: Path) -> None:
    """Of a frozen head the alignment is still defined, as long as something before it is trained."""
    for name in ("body", "head"):
        model = Classifier()
        getattr(model, name).requires_grad_(False)
        assert attempt(tmp_path / name, model, head="head") == "head"


@pytest.mark.parametrize("classes", [1, 2, 300])
def test_any_number_of_classes(tmp_path: Path, classes: int) -> None:
    model = Classifier(classes)
    data = loops.Told(classes=classes)
    with record(model, tmp_path / "run", num_samples=loops.SAMPLES) as recorder:
        F.cross_entropy(model(data.x), data.y).backward()
        recorder.step(data.y, sample_ids=torch.arange(loops.SAMPLES))
        recorder.end_epoch()
    run = open_run(tmp_path / "run")
    assert len(run.class_names) == classes
    assert run.labels.tolist() == data.y.tolist()
    (_, dense), *_ = run.by_epoch("top_class")
    assert dense["top_class"].shape == (loops.SAMPLES, min(5, classes))
