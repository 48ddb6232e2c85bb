"""Two processes that record together, one of which is killed, or both; run by the tests as a process of its own.

usage: kills.py FOLDER KIND=N ...      with KINDs "operation", "time" and "undisturbed"
Copy i of N records into FOLDER/KIND/i; process r notes in FOLDER/KIND/i.r every epoch whose end_epoch returned.
"""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # the first optimizer imports it: once here, and not in each copy
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import gwa_attrib as gwa

SAMPLES, RANKS = 64, 2
torch.set_num_threads(1)


def train(folder: Path, rank: int, epochs: int) -> None:
    """The same numbers in every copy."""
    dist.init_process_group("gloo", init_method=f"file://{folder}.meet", rank=rank, world_size=RANKS)
    torch.manual_seed(0)
    x, y = torch.randn(SAMPLES, 5), torch.randint(0, 3, (SAMPLES,))
    model = DistributedDataParallel(nn.Linear(5, 3))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    note = os.open(f"{folder}.{rank}", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    with gwa.record(model, folder, num_samples=SAMPLES, optimizer=optimizer) as recorder:
        for epoch in range(epochs):
            for ids in torch.arange(rank, SAMPLES, RANKS).split(8):
                F.cross_entropy(model(x[ids]), y[ids]).backward()
                recorder.step(y[ids], sample_ids=ids)
                optimizer.step()
                optimizer.zero_grad()
            recorder.end_epoch()
            os.write(note, f"{epoch}\n".encode())


def fork(body: Callable[[], None]) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        body()
    except BaseException:  # also what a process says whose partner is gone
        if "undisturbed" in sys.argv[-1]:
            traceback.print_exc()
        os._exit(1)
    os._exit(0)


def end(pids: list[int], patience: float) -> None:
    """Wait for them; whoever has not noticed by then that its partner is gone is killed."""
    until = time.monotonic() + patience
    waiting = set(pids)
    while waiting:
        waiting -= {pid for pid in waiting if os.waitpid(pid, os.WNOHANG)[0]}
        if time.monotonic() > until:
            for pid in waiting:
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def at_operation(folder: Path, n: int) -> None:
    """One process kills itself right before the i-th time that it opens, renames, or makes a file or a folder."""
    for i in range(n):
        target = folder / str(i)

        def body(rank: int, i: int = i, target: Path = target) -> None:
            count = 0

            def hook(event: str, args: tuple[Any, ...]) -> None:
                nonlocal count
                if event in ("open", "os.rename", "os.mkdir") and str(args[0]).startswith(f"{target}/"):
                    count += 1
                    if count > i // RANKS:
                        os.kill(os.getpid(), signal.SIGKILL)

            if rank == i % RANKS:
                sys.addaudithook(hook)
            train(target, rank, 3)

        end([fork(lambda rank=rank, body=body: body(rank)) for rank in range(RANKS)], 20)


def at_time(folder: Path, n: int) -> None:
    """Killed from outside, at n moments spread over the first epochs: the first process, the second, or both.

    Of every other copy the first epoch is over by then, however slow the machine is.
    """
    for i in range(n):
        target = folder / str(i)
        pids = [fork(lambda rank=rank, target=target: train(target, rank, 400)) for rank in range(RANKS)]
        while not (noted(target) if i % 2 else (target / "run.json").exists()):
            time.sleep(0.001)
        time.sleep(0.002 + 0.3 * ((i * 0.618) % 1))
        for pid in (pids[:1], pids[1:], pids)[i % 3]:
            os.kill(pid, signal.SIGKILL)
        end(pids, 5)


def noted(folder: Path) -> bool:
    """Whether the first process has ended an epoch."""
    note = Path(f"{folder}.0")
    return note.exists() and note.stat().st_size > 0


def undisturbed(folder: Path, epochs: int) -> None:
    end([fork(lambda rank=rank: train(folder / "0", rank, epochs)) for rank in range(RANKS)], 120)


KINDS = {"operation": at_operation, "time": at_time, "undisturbed": undisturbed}

if __name__ == "__main__":
    for argument in sys.argv[2:]:
        kind, _, number = argument.partition("=")
        (Path(sys.argv[1]) / kind).mkdir()
        KINDS[kind](Path(sys.argv[1]) / kind, int(number))
