"""When the layers are checked: before the first batch that can prove something, and not again."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gwa_attrib.recording import layer_recording
from gwa_attrib.recording.begin import record


@pytest.mark.parametrize(("sizes", "checked"), [([1, 4, 4], [1, 4]), ([4, 1, 4], [4]), ([1, 1, 1], [1, 1, 1])])
def test_a_batch_of_one_proves_nothing_and_the_check_is_made_again(
    sizes: list[int], checked: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    check = layer_recording.check

    def counted(model: nn.Module, capture: Any, inputs: Any) -> Any:
        seen.append(inputs.samples)
        return check(model, capture, inputs)

    monkeypatch.setattr(layer_recording, "check", counted)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    with record(model, tmp_path / "run", num_samples=sum(sizes), layers="all") as recorder:
        for ids in torch.arange(sum(sizes)).split(sizes):
            targets = ids % 2
            F.cross_entropy(model(torch.randn(len(ids), 3)), targets).backward()
            recorder.step(targets, sample_ids=ids)
        recorder.end_epoch()
    assert seen == checked


def test_a_model_that_is_not_called_itself_is_not_checked_and_that_is_said(tmp_path: Path) -> None:
    body, head = nn.Linear(3, 4), nn.Linear(4, 2)
    model = nn.ModuleList([body, head])
    with record(model, tmp_path / "run", num_samples=4, layers="all") as recorder:
        F.cross_entropy(head(body(torch.randn(4, 3))), torch.arange(4) % 2).backward()
        with pytest.warns(UserWarning, match="doctor"):
            recorder.step(torch.arange(4) % 2, sample_ids=torch.arange(4))
        recorder.end_epoch()
