"""Several processes would write to one folder."""

from pathlib import Path

import pytest
import torch
from torch import nn

from gwa_attrib.errors import InputError
from gwa_attrib.recording import record


@pytest.fixture
def one_process(tmp_path: Path):
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.usefixtures("one_process")
def test_one_process_may_record_and_one_of_several_may_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(nn.Linear(2, 2), tmp_path / "alone", num_samples=3)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    with pytest.raises(InputError, match="one process"):
        record(nn.Linear(2, 2), tmp_path / "together", num_samples=3)
    assert not (tmp_path / "together").exists()
