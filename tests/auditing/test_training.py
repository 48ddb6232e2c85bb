"""Plans, augmentation, default models, and the loop that `audit` trains with."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import gwa_attrib as gwa
from gwa_attrib.auditing.augment import shift_and_flip
from gwa_attrib.auditing.models import build_model, find_factory
from gwa_attrib.auditing.training import BUDGETS, fit, plan_for, seeded, train_plainly
from gwa_attrib.errors import InputError


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (1, 28, 28), (3, 64, 64), (3, 12, 33)])
@pytest.mark.parametrize("classes", [2, 11])
def test_the_image_model_maps_any_size_to_one_logit_a_class(shape: tuple[int, ...], classes: int) -> None:
    model = build_model("auto", "image", shape, classes, width=8)
    assert model(torch.randn(3, *shape)).shape == (3, classes)
    model(torch.randn(1, *shape)).sum().backward()  # a last batch of one, in training mode


@pytest.mark.parametrize("features", [1, 7, 300])
def test_the_table_model_maps_rows_to_logits(features: int) -> None:
    assert build_model("auto", "table", (features,), 4, width=16)(torch.randn(5, features)).shape == (5, 4)


def test_budgets_grow_and_large_data_needs_fewer_epochs() -> None:
    for kind, shape in {"image": (1, 28, 28), "table": (5,)}.items():
        epochs = [[plan_for(kind, shape, n, b).epochs for n in (100, 2_000, 10_000, 60_000, 10**6)] for b in BUDGETS]
        assert all(row == sorted(row, reverse=True) for row in epochs)
        assert all(list(column) == sorted(column) for column in zip(*epochs, strict=True))
        assert min(map(min, epochs)) >= 4
    assert plan_for("image", (1, 8, 8), 500, epochs=3).epochs == 3
    assert all(8 <= plan_for("table", (5,), n).batch_size <= 128 for n in (1, 50, 10**7))
    assert plan_for("image", (3, 8, 8), 100).flip
    assert not plan_for("image", (1, 8, 8), 100).flip


@pytest.mark.parametrize("wrong", [{"budget": "lavish"}, {"epochs": 0}, {"epochs": -1}])
def test_a_plan_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError, match="fast, normal, thorough"):
        plan_for("table", (5,), 100, **wrong)


def test_a_shifted_image_is_the_image_moved() -> None:
    image = torch.arange(64, dtype=torch.float32).reshape(1, 1, 8, 8) + 1
    padded = nn.functional.pad(image, [1, 1, 1, 1])
    windows = [padded[0, 0, i : i + 8, j : j + 8] for i in range(3) for j in range(3)]
    generator = torch.Generator().manual_seed(0)
    seen = set()
    for moved in shift_and_flip(image.expand(200, -1, -1, -1), flip=False, generator=generator)[:, 0]:
        matches = [k for k, window in enumerate(windows) if torch.equal(moved, window)]
        assert matches
        seen |= set(matches)
    assert len(seen) == 9


def test_half_of_the_images_are_mirrored_and_a_generator_repeats() -> None:
    image = torch.zeros(400, 1, 8, 8)
    image[..., :4] = 1  # lit on the left
    moved = shift_and_flip(image, flip=True, generator=torch.Generator().manual_seed(1))
    right = (moved[..., 4:].sum(dim=(1, 2, 3)) > moved[..., :4].sum(dim=(1, 2, 3))).float().mean()
    assert 0.4 < right < 0.6
    assert torch.equal(moved, shift_and_flip(image, flip=True, generator=torch.Generator().manual_seed(1)))


def trained(path: Path, seed: int) -> np.ndarray:
    x = torch.randn(70, 6, generator=torch.Generator().manual_seed(5))
    y = (x[:, 0] > 0).long()
    with seeded(seed):
        plan = plan_for("table", (6,), 70, "fast", epochs=3)
        fit(build_model("auto", "table", (6,), 2, 16), x, y, plan, path, seed=seed, class_names=["a", "b"])
    return gwa.open_run(path).trajectory("alignment")


def test_the_same_seed_gives_the_same_bits_and_leaves_the_random_numbers_alone(tmp_path: Path) -> None:
    state = torch.get_rng_state()
    first = trained(tmp_path / "a", 0)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(99)
    np.testing.assert_array_equal(first, trained(tmp_path / "b", 0))
    assert (first != trained(tmp_path / "c", 1)).any()


def make_soft(input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(4, num_classes + 1))


def make_nothing(input_shape: tuple[int, ...], num_classes: int) -> None:
    return None


def test_factories_are_found_by_name() -> None:
    assert find_factory("gwa_attrib.auditing.models:mlp").__name__ == "mlp"


@pytest.mark.parametrize("spec", ["nothing", "no.such.module:f", "gwa_attrib.scores:nothing", ":f", "gwa_attrib:"])
def test_a_factory_that_is_not_there_is_refused(spec: str) -> None:
    with pytest.raises(InputError, match="module:factory"):
        build_model(spec, "table", (4,), 3, 8)


@pytest.mark.parametrize(("name", "found"), [("make_soft", r"\[2, 4\]"), ("make_nothing", "NoneType")])
def test_a_factory_that_makes_the_wrong_thing_is_refused(name: str, found: str) -> None:
    with pytest.raises(InputError, match=found):
        build_model(f"{__name__}:{name}", "table", (4,), 3, 8)


@pytest.mark.parametrize("samples", [1, 2, 16, 31])
def test_the_shortest_trainings_end(samples: int) -> None:
    """Also of four steps, where a rise of a quarter would be of no length."""
    plan = replace(plan_for("table", (3,), samples, epochs=1), batch_size=8)
    for epochs in range(1, 6):
        model = nn.Linear(3, 2)
        before = model.weight.detach().clone()
        x, y = torch.randn(samples, 3), torch.zeros(samples).long()
        trained = train_plainly(model, x, y, replace(plan, epochs=epochs), seed=0)
        assert torch.isfinite(trained.weight).all()
        assert not trained.training
        assert not torch.equal(trained.weight, before)


def test_without_recording_the_weights_are_the_same(tmp_path: Path) -> None:
    plan = plan_for("image", (1, 8, 8), 40, "fast", epochs=2)
    x, y = torch.randn(40, 1, 8, 8), torch.arange(40) % 3
    models = [build_model("auto", "image", (1, 8, 8), 3, 4) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    fit(models[0], x, y, plan, tmp_path / "run", seed=5)
    train_plainly(models[1], x, y, plan, seed=5)
    for one, other in zip(models[0].state_dict().values(), models[1].state_dict().values(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
