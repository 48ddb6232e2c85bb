"""The doctor: what it says of healthy and sick models, on a copy, in Python and on the command line."""

import json
import subprocess
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import gwa_attrib as gwa
from gwa_attrib.errors import InputError
from tests.commands import call_command


def batch_normed() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    )


class Keywords(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(5, 4), nn.Linear(4, 3)

    def forward(self, *, tokens: Tensor, mask: Tensor) -> dict[str, Tensor]:
        return {"logits": self.head((self.table(tokens) * mask.unsqueeze(2)).sum(dim=1))}


def test_a_healthy_model() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    found = gwa.doctor(model, torch.randn(6, 4))
    assert found.healthy
    assert found.recordable == ["0", "2"]
    frame = found.to_frame()
    assert frame["parameters"].tolist() == [40, 27]
    assert (frame["deviation"] < 1e-5).all()
    assert frame["how"].tolist() == ["linear 1", "linear 1"]


def test_blocks_before_a_batch_norm_are_refused_and_the_rest_can_be_recorded() -> None:
    found = gwa.doctor(batch_normed().train(), torch.randn(6, 3, 6, 6))
    assert not found.healthy
    assert found.recordable == ["5"]
    assert "GroupNorm" in found.findings[0].problem


def test_a_layer_that_cannot_be_measured_leaves_the_others_alone() -> None:
    model = nn.Sequential(nn.Embedding(5, 4, max_norm=1.0), nn.Flatten(), nn.Linear(12, 3))
    found = gwa.doctor(model, torch.randint(0, 5, (6, 3)))
    assert found.recordable == ["2"]
    assert "max_norm" in found.findings[0].problem
    assert found.to_frame()["deviation"].isna().tolist() == [True, False]


def test_the_model_is_as_it_was() -> None:
    model = batch_normed().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random = torch.get_rng_state()
    x = torch.randn(6, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    gwa.doctor(model, x)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert model.training
    assert all(p.grad is None for p in model.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_arguments_by_keyword_and_an_output_in_a_dict() -> None:
    inputs = {"tokens": torch.randint(0, 5, (6, 4)), "mask": torch.ones(6, 4)}
    assert gwa.doctor(Keywords(), inputs).healthy


def test_chosen_layers_and_another_engine() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    found = gwa.doctor(model, torch.randn(6, 4), layers=["2"], engine="opacus")
    assert [finding.block for finding in found.findings] == ["2"]
    assert found.findings[0].how == "Opacus 1"
    assert found.healthy


def test_nan_in_the_inputs_is_named() -> None:
    found = gwa.doctor(nn.Sequential(nn.Linear(4, 3)), torch.full((4, 4), torch.nan))
    assert "NaN" in found.findings[0].problem
    assert "inputs" in found.findings[0].problem


@pytest.mark.parametrize(
    ("inputs", "options", "message"),
    [
        (torch.randn(1, 4), {}, "at least 2"),
        (torch.randn(0, 4), {}, "at least 2"),
        ({}, {}, "at least 2"),
        (torch.randn(4, 4), {"layers": ["nothing"]}, "nothing"),
        (torch.randn(4, 4), {"layers": []}, "no layer"),
    ],
)
def test_wrong_input_is_refused(inputs: object, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        gwa.doctor(nn.Sequential(nn.Linear(4, 3)), inputs, **options)


MODULE = """
import torch
from torch import nn

def healthy():
    return nn.Sequential(nn.Linear(4, 3)), torch.randn(5, 4)

def sick():
    return nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 3)), torch.randn(5, 4)

def wrong():
    return 3
"""


def command(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    (folder / "of_mine.py").write_text(MODULE)
    return call_command("doctor", *words, cwd=folder)


def test_the_command_prints_a_line_a_block(tmp_path: Path) -> None:
    done = command(tmp_path, "of_mine:healthy")
    assert done.returncode == 0, done.stderr
    assert "ok" in done.stdout
    assert "linear 1" in done.stdout


def test_the_command_fails_for_a_model_that_cannot_be_recorded_whole(tmp_path: Path) -> None:
    done = command(tmp_path, "of_mine:sick", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 1
    assert not found["healthy"]
    assert [bool(block["problem"]) for block in found["blocks"]] == [True, True, False]


@pytest.mark.parametrize(
    "words", [["of_mine:wrong"], ["of_mine:nothing"], ["nowhere:healthy"], ["of_mine:healthy", "--layers", "x"]]
)
def test_misuse_of_the_command(tmp_path: Path, words: list[str]) -> None:
    done = command(tmp_path, *words)
    assert done.returncode == 2
    assert done.stderr.startswith("gwa-attrib: ")
    assert "xpected" in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout
