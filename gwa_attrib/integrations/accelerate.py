"""Recording a loop that accelerate has prepared.

model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
with gwa.record(accelerator.unwrap_model(model), "runs/a", num_samples=n, optimizer=optimizer) as recorder:
    for x, y in batches(recorder, loader):
        with accelerator.accumulate(model):
            accelerator.backward(F.cross_entropy(model(x), y))
            recorder.step(y)
            optimizer.step()
            optimizer.zero_grad()
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.utils.data import DataLoader

from gwa_attrib.errors import InputError, MissingDependencyError
from gwa_attrib.recording.recorder import Recorder

try:
    from accelerate.data_loader import DataLoaderShard
except ModuleNotFoundError as missing:
    raise MissingDependencyError(
        expected="accelerate, to record its loops",
        found="no package accelerate",
        todo="Run: pip install 'gwa-attrib[hf]'.",
    ) from missing


def batches(recorder: Recorder, loader: DataLoaderShard) -> Iterator[Any]:
    """Yield the batches of a loader out of ``accelerator.prepare``, unchanged, on their device.

    The ids of their samples travel with them to the next `recorder.step`. What accelerate knows of the loader (where
    it ends, and with that when to apply accumulated gradients) stays true.

    Raises:
        InputError: another loader, or one without positions.
        SampleIdError: the loader reads more samples than the recorder was told.
    """
    if type(loader) is not DataLoaderShard:
        raise InputError(
            expected="a DataLoader that accelerator.prepare has returned",
            found=type(loader).__name__,
            todo="Prepare it; a loader that is not prepared goes to recorder.batches(loader).",
        )
    known = recorder.batches(loader.base_dataloader)
    with _yielding_from(loader, known.loader):
        for item in loader:
            yield known.hand_out(item)


@contextmanager
def _yielding_from(shard: DataLoaderShard, loader: DataLoader[object]) -> Iterator[None]:
    own, shard.base_dataloader = shard.base_dataloader, loader
    try:
        yield
    finally:
        shard.base_dataloader = own
