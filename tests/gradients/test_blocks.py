"""Parts of a model that are reported together: its blocks, or what was named."""

import pytest
import torch
from torch import nn

from gwa_attrib.errors import InputError
from gwa_attrib.gradients import make_plan
from gwa_attrib.gradients.blocks import blocks_of


class Block(nn.Module):
    """An encoder block as people write it: with a small stack of its own, and a raw parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2)
        self.mlp = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 4))
        self.scale = nn.Parameter(torch.ones(4))


class Encoder(nn.Module):
    """Modules in modules, as in transformers: the stack lies two levels down."""

    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Module()
        self.base.embeddings = nn.Module()
        self.base.embeddings.words, self.base.embeddings.norm = nn.Embedding(5, 4), nn.LayerNorm(4)
        self.base.encoder = nn.Module()
        self.base.encoder.layer = nn.ModuleList([Block(), Block()])
        self.base.pooler = nn.Linear(4, 4)
        self.classifier = nn.Linear(4, 2)


class Vision(nn.Module):
    """Raw parameters beside a stack."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 4, 2)
        self.token, self.position = nn.Parameter(torch.ones(1, 1, 4)), nn.Parameter(torch.ones(1, 5, 4))
        self.blocks = nn.Sequential(Block(), Block(), Block())
        self.norm, self.head = nn.LayerNorm(4), nn.Linear(4, 2)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.middle, self.out = nn.Embedding(5, 4), nn.Linear(4, 4), nn.Linear(4, 5)
        self.out.weight = self.table.weight


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))


MODELS = {
    "perceptron": (perceptron, ["0", "2", "4"]),
    "sequence of blocks": (lambda: nn.Sequential(Block(), Block(), nn.Linear(4, 2)), ["0", "1", "2"]),
    "encoder": (
        Encoder,
        ["base.embeddings", "base.encoder.layer.0", "base.encoder.layer.1", "base.pooler", "classifier"],
    ),
    "vision": (
        Vision,
        ["token", "position", "patch", "blocks.0", "blocks.1", "blocks.2", "norm", "head"],
    ),
    "tied": (Tied, ["table", "middle", "out"]),
    "one layer": (lambda: nn.Linear(4, 2), ["weight", "bias"]),
    "list of heads": (lambda: nn.ModuleDict({"a": nn.Linear(4, 2), "b": nn.Linear(4, 2)}), ["a", "b"]),
    "list of parameters": (
        lambda: nn.ModuleDict({"scales": nn.ParameterList([torch.ones(2), torch.ones(2)]), "head": nn.Linear(4, 2)}),
        ["scales", "head"],
    ),
    "same block twice": (lambda: nn.Sequential(*[Block()] * 2, Block()), ["0", "2"]),
}


@pytest.mark.parametrize("model", MODELS)
def test_the_blocks_are_those_that_people_speak_of(model: str) -> None:
    make, names = MODELS[model]
    assert list(blocks_of(make())) == names


@pytest.mark.parametrize("model", MODELS)
def test_every_trainable_parameter_is_in_one_block(model: str) -> None:
    module = MODELS[model][0]()
    first = next(module.parameters())
    first.requires_grad_(False)
    trained = [name for name, p in module.named_parameters() if p.requires_grad]
    members = [name for names in blocks_of(module).values() for name in names]
    assert sorted(members) == sorted(trained)


def test_a_shared_parameter_belongs_to_the_first_block() -> None:
    groups = blocks_of(Tied())
    assert groups["table"] == ("table.weight",)
    assert groups["out"] == ("out.bias",)


def test_a_block_without_anything_to_train_is_no_group() -> None:
    model = perceptron()
    model[2].requires_grad_(False)
    assert list(blocks_of(model)) == ["0", "4"]


def test_named_modules_and_parameters_are_groups_in_the_order_given() -> None:
    plan = make_plan(Vision(), ["head", "blocks.1", "token", "blocks.0.mlp.0.bias"])
    assert list(plan.groups) == ["head", "blocks.1", "token", "blocks.0.mlp.0.bias"]
    assert plan.groups["head"] == ("head.weight", "head.bias")
    assert plan.groups["token"] == ("token",)
    assert set(plan.parameters) == {name for names in plan.groups.values() for name in names}


def test_one_name_may_stand_alone() -> None:
    assert make_plan(perceptron(), "2").groups == {"2": ("2.weight", "2.bias")}


def test_naming_the_second_user_of_a_shared_parameter_means_the_parameter() -> None:
    plan = make_plan(Tied(), ["out"])
    assert plan.groups == {"out": ("table.weight", "out.bias")}
    assert set(plan.layers) == {"table", "out"}


def test_a_layer_with_a_rule_is_listed_with_its_rule() -> None:
    plan = make_plan(Vision(), "all")
    assert plan.how["patch"] == "convolution"
    assert plan.how["norm"] == "layer norm"
    assert plan.how["blocks.0.mlp.0"] == "linear"
    assert not any("attention" in name for name in plan.how), "its weights are used in a function"


def test_an_unknown_name_lists_the_modules() -> None:
    with pytest.raises(InputError, match=r"'blocks\.7'.*patch.*blocks\.0"):
        make_plan(Vision(), ["blocks.7"])


@pytest.mark.parametrize("names", [["blocks", "blocks.1"], ["head", "head.weight"], ["table", "out"], ["head", "head"]])
def test_names_that_overlap_are_refused(names: list[str]) -> None:
    model = Tied() if "out" in names else Vision()
    with pytest.raises(InputError, match="apart from each other"):
        make_plan(model, names)


def test_no_name_at_all_is_refused() -> None:
    with pytest.raises(InputError, match="no layer at all"):
        make_plan(Vision(), [])


@pytest.mark.parametrize("name", ["1", "2.weight"])
def test_a_name_with_nothing_to_train_is_refused(name: str) -> None:
    model = perceptron()
    model[2].weight.requires_grad_(False)
    with pytest.raises(InputError, match="something to train"):
        make_plan(model, [name])


def test_a_part_named_like_the_whole_is_refused() -> None:
    model = nn.ModuleDict({"all": nn.Linear(4, 4), "head": nn.Linear(4, 2)})
    with pytest.raises(InputError, match="'all'"):
        make_plan(model, "all")
    with pytest.raises(InputError, match="'all'"):
        make_plan(model, ["all"])
    assert list(make_plan(model, ["head"]).groups) == ["head"]


def test_a_model_without_anything_to_train_is_refused() -> None:
    with pytest.raises(InputError):
        make_plan(perceptron().requires_grad_(False), "all")
