"""A program that records, and is killed or runs out of disk while it does; run by the tests as a process of its own.

usage: crashes.py FOLDER KIND=N ...      with KINDs as at the end of this file
Copy i of N records into FOLDER/KIND/i, and notes in FOLDER/KIND/i.acknowledged every epoch whose end_epoch returned.
"""

import json
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # the first optimizer imports it: once here, and not in each copy
import torch.nn.functional as F
from torch import nn

from gwa_attrib.errors import RunError
from gwa_attrib.recording.begin import record
from gwa_attrib.recording.recorder import Recorder
from gwa_attrib.store import open_run

SAMPLES, EPOCHS = 64, 400
torch.set_num_threads(1)


def train_epochs(folder: Path, epochs: int, each: Callable[[Recorder, int], None], *, resume: bool = False) -> None:
    """The same numbers in every process. `each` ends the epoch. With `resume`, epochs that are there are not recorded
    again."""
    torch.manual_seed(0)
    x, y = torch.randn(SAMPLES, 5), torch.randint(0, 3, (SAMPLES,))
    model = nn.Linear(5, 3)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)

    def train(recorder: Recorder | None) -> None:
        for ids in torch.arange(SAMPLES).split(16):
            F.cross_entropy(model(x[ids]), y[ids]).backward()
            if recorder is not None:
                recorder.step(y[ids], sample_ids=ids)
            optimizer.step()
            optimizer.zero_grad()

    recorder = record(model, folder, num_samples=SAMPLES, resume=resume)
    there = len(recorder.epochs())
    for _ in range(there):
        train(None)  # in place of a checkpoint
    with recorder:
        for epoch in range(there, epochs):
            train(recorder)
            each(recorder, epoch)


def acknowledge(folder: Path) -> Callable[[Recorder, int], None]:
    folder.parent.mkdir(exist_ok=True)
    handle = os.open(folder.with_suffix(".acknowledged"), os.O_CREAT | os.O_WRONLY | os.O_APPEND)

    def each(recorder: Recorder, epoch: int) -> None:
        recorder.end_epoch()
        os.write(handle, f"{epoch}\n".encode())

    return each


def fork(body: Callable[[], None]) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        body()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def at_time(folder: Path, n: int) -> None:
    """Killed from outside, at n moments spread over the first epochs."""
    for i in range(n):
        target = folder / str(i)
        pid = fork(lambda target=target: train_epochs(target, EPOCHS, acknowledge(target)))
        while not (target / "run.json").exists():
            time.sleep(0.001)
        time.sleep(0.002 + 0.2 * ((i * 0.618) % 1))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def at_file_operation(folder: Path, n: int) -> None:
    """Killed by itself, right before the i-th time that it opens, renames, or makes a file or a folder."""
    for i in range(n):

        def body(i: int = i) -> None:
            target = folder / str(i)
            each = acknowledge(target)
            count = 0

            def hook(event: str, args: tuple[Any, ...]) -> None:
                nonlocal count
                if event in ("open", "os.rename", "os.mkdir", "os.remove") and str(target) in str(args[0]):
                    count += 1
                    if count > i:
                        os.kill(os.getpid(), signal.SIGKILL)

            sys.addaudithook(hook)
            train_epochs(target, 3, each)

        os.waitpid(fork(body), 0)


def full_disk(folder: Path, epochs: int) -> None:
    """In the second epoch no file may become as large as it was in the first: each in turn, the smallest first."""
    target, failures = folder / "0", []

    def each(recorder: Recorder, epoch: int) -> None:
        sizes = sorted(path.stat().st_size for path in target.rglob("*.parquet")) if epoch == 1 else []
        for limit in [1, *(size * 9 // 10 for size in sizes)] if epoch == 1 else []:
            with_limit(limit, recorder, failures)
            failures[-1]["loss"] = open_run(target).trajectory("loss")[0].tolist()
            failures[-1]["half_written"] = len(list((target / "_tmp").iterdir()))
        recorder.end_epoch()

    train_epochs(target, epochs, each)
    (folder / "failures.json").write_text(json.dumps(failures))


def with_limit(limit: int, recorder: Recorder, failures: list[dict[str, Any]]) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        recorder.end_epoch()
    except RunError as error:
        failures.append({"limit": limit, "text": str(error)})
    else:
        failures.append({"limit": limit, "text": "no error"})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def reference(folder: Path, epochs: int) -> None:
    """Undisturbed."""
    train_epochs(folder / "0", epochs, lambda recorder, epoch: recorder.end_epoch() and None)


KINDS = {"reference": reference, "at-time": at_time, "at-file-operation": at_file_operation, "full-disk": full_disk}

if __name__ == "__main__":
    for argument in sys.argv[2:]:
        kind, _, n = argument.partition("=")
        process = fork(lambda kind=kind, n=n: KINDS[kind](Path(sys.argv[1]) / kind, int(n)))
        if os.waitpid(process, 0)[1]:
            sys.exit(f"{kind} failed")
