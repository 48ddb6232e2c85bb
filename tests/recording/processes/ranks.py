"""What each process of the tests does: ``torchrun --nproc-per-node 2 -m processes.ranks FOLDER KIND...``.

Each kind is a training that is recorded into FOLDER/KIND, or something that goes wrong; what a process has to tell goes
to FOLDER/KIND.RANK.json.
"""

import faulthandler
import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler

import gwa_attrib as gwa
from gwa_attrib.errors import GWAError
from gwa_attrib.recording.recorder import Recorder
from gwa_attrib.store.summaries import flat
from tests.loops import Classifier, Told, sgd, told_ids

N, BATCH, EPOCHS, RANKS = 21, 4, 3, 2
"""Of 21 samples one has to be repeated, to be shared by two."""
PROBE: dict[str, Any] = {"probe": 7, "measures": ["llid"]}


class Convolutions(Classifier):
    """The classifier, over convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Unflatten(1, (1, 2, 3)), nn.Conv2d(1, 4, 2, padding=1), nn.GroupNorm(2, 4), nn.Tanh(), nn.Flatten()
        )
        self.head = nn.Linear(48, 3)


def shuffled() -> DistributedSampler[Any]:
    return DistributedSampler(Told(N), shuffle=True, seed=3)


def train(
    recorder: Recorder, model: nn.Module, optimizer: Any, loader: Any, draws: Any, epochs: range = range(EPOCHS)
) -> list[dict[str, Any]]:
    """The loop of the documentation; what it saw, and what the summaries say."""
    told = []
    for epoch in epochs:
        draws.set_epoch(epoch)
        ids: list[int] = []
        for x, y in recorder.batches(loader):
            ids += told_ids(x)
            F.cross_entropy(model(x), y).backward()
            recorder.step(y)
            optimizer.step()
            optimizer.zero_grad()
        told.append({"ids": ids, **flat(recorder.end_epoch(val_accuracy=0.5))})
    return told


def ddp(path: Path, workers: int = 0, kind: type[nn.Module] = Classifier, **options: Any) -> Any:
    model, draws = DistributedDataParallel(kind()), shuffled()
    optimizer = sgd(model)
    loader = DataLoader(Told(N), BATCH, sampler=draws, num_workers=workers)
    with gwa.record(model, path, num_samples=N, optimizer=optimizer, **options) as recorder:
        return train(recorder, model, optimizer, loader, draws)


def ddp_workers(path: Path) -> Any:
    return ddp(path, workers=1)


def ddp_layers(path: Path) -> Any:
    return ddp(path, kind=Convolutions, layers="all", **PROBE)


def ddp_probe(path: Path) -> Any:
    return ddp(path, **PROBE)


def fsdp(path: Path, head_alone: bool = False, **options: Any) -> Any:
    mesh = dist.init_device_mesh("cpu", (RANKS,))
    model, draws = Classifier(), shuffled()
    for part in (model.body, *([model.head] if head_alone else ())):
        fully_shard(part, mesh=mesh)
    fully_shard(model, mesh=mesh)
    optimizer = sgd(model)
    loader = DataLoader(Told(N), BATCH, sampler=draws)
    with gwa.record(model, path, num_samples=N, optimizer=optimizer, **options) as recorder:
        return train(recorder, model, optimizer, loader, draws)


def fsdp_probe(path: Path) -> Any:
    return fsdp(path, head_alone=True, probe=7)


def stepped_too_early(path: Path) -> Any:
    """The optimizer moves the shards before the recorder is told."""
    mesh = dist.init_device_mesh("cpu", (RANKS,))
    model = fully_shard(Classifier(), mesh=mesh)
    optimizer = sgd(model)
    ids = torch.arange(4)
    with gwa.record(model, path, num_samples=N) as recorder:
        F.cross_entropy(model(Told(N).x[ids]), ids % 3).backward()
        optimizer.step()
        recorder.step(ids % 3, sample_ids=ids)


def older_shards(path: Path) -> Any:
    model = FullyShardedDataParallel(Classifier(), device_id=torch.device("cpu"))
    gwa.record(model, path, num_samples=N)


def layers_of_shards(path: Path) -> Any:
    return fsdp(path, layers="all")


def measures_of_shards(path: Path) -> Any:
    return fsdp(path, probe=7, measures=["llid"])


def by_accelerate(path: Path) -> Any:
    from accelerate import Accelerator

    from gwa_attrib.integrations.accelerate import batches

    accelerator = Accelerator(cpu=True)
    model = Classifier()
    prepared = accelerator.prepare(model, sgd(model), DataLoader(Told(N), BATCH, shuffle=True))
    wrapped, optimizer, loader = prepared
    told = []
    with gwa.record(wrapped, path, num_samples=N, optimizer=optimizer, probe=7) as recorder:
        for _ in range(EPOCHS):
            ids: list[int] = []
            for x, y in batches(recorder, loader):
                ids += told_ids(x)
                accelerator.backward(F.cross_entropy(wrapped(x), y))
                recorder.step(y)
                optimizer.step()
                optimizer.zero_grad()
            told.append({"ids": ids, **flat(recorder.end_epoch())})
    return told


def by_lightning(path: Path) -> Any:
    import lightning.pytorch as L

    from gwa_attrib.integrations.lightning import GWACallback, GWAEarlyStopping

    class Module(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.ids = Classifier(), [[] for _ in range(EPOCHS)]

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x)

        def training_step(self, batch: Any, _: int) -> Tensor:
            self.ids[self.current_epoch] += told_ids(batch[0])
            return F.cross_entropy(self.net(batch[0]), batch[1])

        def configure_optimizers(self) -> Any:
            return sgd(self)

    recording, module = GWACallback(path, num_samples=N, probe=7), Module()
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    trainer = L.Trainer(
        accelerator="cpu",
        strategy="ddp",
        devices=RANKS,
        max_epochs=EPOCHS,
        enable_checkpointing=False,
        callbacks=[recording, GWAEarlyStopping(recording, patience=9)],
        **quiet,
    )
    trainer.fit(module, DataLoader(Told(N), BATCH, shuffle=True))
    epochs = recording.recorder.epochs().to_dict("records")
    return [{"ids": ids, **epoch} for ids, epoch in zip(module.ids, epochs, strict=True)]


def by_trainer(path: Path) -> Any:
    from transformers import Trainer, TrainingArguments

    from gwa_attrib.integrations.transformers import record_trainer, with_sample_ids

    class Net(Classifier):
        def forward(self, x: Tensor, labels: Tensor | None = None) -> Any:  # type: ignore[override]
            seen.extend(told_ids(x) if self.training else [])
            logits = super().forward(x)
            return {"logits": logits} if labels is None else {"loss": F.cross_entropy(logits, labels), "logits": logits}

    seen: list[int] = []
    items = [{"x": x, "labels": int(y)} for x, y in zip(*(Told(N).x, Told(N).y), strict=True)]
    args = TrainingArguments(
        output_dir=str(path.with_suffix(".out")),
        use_cpu=True,
        remove_unused_columns=False,
        per_device_train_batch_size=BATCH,
        num_train_epochs=EPOCHS,
        learning_rate=0.1,
        optim="sgd",
        lr_scheduler_type="constant",
        max_grad_norm=0.0,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
    )
    trainer = Trainer(Net(), args, train_dataset=with_sample_ids(items))
    with record_trainer(trainer, path, probe=7) as recorder:
        trainer.train()
    epochs, share = recorder.epochs().to_dict("records"), len(seen) // EPOCHS
    return [{"ids": seen[i * share : (i + 1) * share], **epoch} for i, epoch in enumerate(epochs)]


def resumed(path: Path) -> Any:
    """Two epochs, and a third as from a checkpoint, in the same processes."""
    torch.manual_seed(0)
    model = Classifier()
    for first, last in ((0, 2), (2, 3)):
        wrapped, draws = DistributedDataParallel(model), shuffled()
        optimizer = sgd(model)
        loader = DataLoader(Told(N), BATCH, sampler=draws)
        with gwa.record(wrapped, path, num_samples=N, optimizer=optimizer, resume=first > 0, **PROBE) as recorder:
            told = train(recorder, wrapped, optimizer, loader, draws, range(first, last))
    return told


def step_of(recorder: Recorder, model: nn.Module, ids: Tensor, labels: Tensor) -> None:
    F.cross_entropy(model(Told(N).x[ids]), labels).backward()
    recorder.step(labels, sample_ids=ids)


def a_label_that_differs(path: Path) -> None:
    """Of the same sample, in the two processes."""
    model = Classifier()
    with gwa.record(model, path, num_samples=N) as recorder:
        step_of(recorder, model, torch.tensor([3]), torch.tensor([dist.get_rank()]))
        recorder.end_epoch()


def nothing_in_one(path: Path) -> None:
    """One process records nothing."""
    model = Classifier()
    with gwa.record(model, path, num_samples=N) as recorder:
        if dist.get_rank() == 0:
            step_of(recorder, model, torch.tensor([3]), torch.tensor([0]))
        recorder.end_epoch()


def a_folder_that_is_taken(path: Path) -> None:
    if dist.get_rank() == 0:
        path.mkdir()
        (path / "thesis.txt").write_text("mine")
    dist.barrier()
    gwa.record(Classifier(), path, num_samples=N)


def no_room_in_one(path: Path) -> Any:
    """The disk of one process is full when the second epoch ends; there is room again, and all call once more."""
    import resource

    model, told = Classifier(), []
    with gwa.record(model, path, num_samples=N) as recorder:
        for _ in range(2):
            rank = dist.get_rank()
            ids = torch.arange(rank, N, RANKS)
            step_of(recorder, model, ids, ids % 3)
            if told:
                resource.setrlimit(resource.RLIMIT_FSIZE, (100 if rank else -1, resource.RLIM_INFINITY))
                try:
                    recorder.end_epoch()
                except GWAError as error:
                    told.append(str(error))
                resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            told.append(recorder.end_epoch().coverage)
    return told


KINDS = {
    kind.__name__: kind
    for kind in (
        *(ddp, ddp_workers, ddp_layers, ddp_probe, fsdp, fsdp_probe, resumed, by_accelerate, by_lightning, by_trainer),
        *(stepped_too_early, older_shards, layers_of_shards, measures_of_shards),
        *(a_label_that_differs, nothing_in_one, a_folder_that_is_taken, no_room_in_one),
    )
}


def main(folder: Path, kinds: list[str]) -> None:
    faulthandler.dump_traceback_later(float(os.environ.get("GWA_HANG", "200")), exit=True)  # says where it hangs
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    for name in kinds:
        try:
            told = KINDS[name](folder / name)
        except GWAError as error:
            told = {"error": type(error).__name__, "text": str(error)}
        (folder / f"{name}.{dist.get_rank()}.json").write_text(json.dumps(told))
        dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
