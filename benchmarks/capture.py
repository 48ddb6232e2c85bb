"""What per-sample alignment costs: a training step plain, with the head recorded, and with all layers recorded.

    python benchmarks/capture.py --json

For each model of the zoo: the plain step; `gwa.record` of the head; of all layers; of all layers with Opacus as the
engine; Opacus' own GradSampleModule followed by the same products and norms from its per-sample gradients; and
`torch.func.vmap(grad)`. The ways take turns, in an order drawn anew for each round: one step to warm up, as in a
training each step follows its like, and one that is timed; medians over the rounds, and their ratios to the plain step.
Peak memory is what a step needs beyond what is held between steps, in a process of its own for each way: of the process
("peak_mib") and of its tensors alone ("tensors_mib").
"""

import argparse
import ctypes
import gc
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from zoo import CLASSES, ZOO, Entry

import gwa_attrib as gwa

Step = Callable[[], None]
WAYS = ("plain", "head", "all", "all_opacus_engine", "opacus", "vmap")


class Training:
    """One model, one batch at a time, SGD; `gradients` computes the gradients of a batch."""

    def __init__(self, name: str, device: str, dtype: torch.dtype, batch: int | None) -> None:
        torch.manual_seed(0)
        entry: Entry = ZOO[name]()
        self.model = entry.model.to(device).train()
        self.batch = batch or entry.batch
        self.x = entry.inputs(self.batch).to(device)
        self.y = torch.randint(CLASSES, (self.batch,), device=device)
        self.optimizer = torch.optim.SGD(self.model.parameters(), 0.001)
        self.device, self.dtype = device, dtype

    def loss(self) -> Tensor:
        with torch.autocast(self.device, self.dtype, enabled=self.dtype != torch.float32):
            return F.cross_entropy(self.model(self.x), self.y)

    def update(self) -> None:
        self.optimizer.step()
        self.optimizer.zero_grad()


def plain(training: Training, _: Path) -> Iterator[None]:
    while True:
        training.loss().backward()
        training.update()
        yield


def recorded(training: Training, folder: Path, **options: Any) -> Iterator[None]:
    ids = torch.arange(training.batch)
    with gwa.record(training.model, folder / "run", num_samples=training.batch, **options) as recorder:
        while True:
            training.loss().backward()
            recorder.step(training.y, sample_ids=ids)
            training.update()
            yield


def opacus(training: Training, _: Path) -> Iterator[None]:
    from opacus.grad_sample import GradSampleModule

    training.model = GradSampleModule(training.model, strict=False)  # type: ignore[assignment]
    parameters = [p for p in training.model.parameters() if p.requires_grad]
    while True:
        training.loss().backward()
        _alignment([(p.grad_sample, p) for p in parameters if p.grad_sample is not None])
        for parameter in parameters:
            parameter.grad_sample = None  # type: ignore[attr-defined]
        training.update()
        yield


def vmapped(training: Training, _: Path) -> Iterator[None]:
    from torch.func import functional_call, grad, vmap

    model = training.model
    weights = dict(model.named_parameters())

    def loss(parameters: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(functional_call(model, parameters, (x.unsqueeze(0),)), y.unsqueeze(0))

    per_sample = vmap(grad(loss), in_dims=(None, 0, 0))
    while True:
        gradients = per_sample({name: p.detach() for name, p in weights.items()}, training.x, training.y)
        _alignment([(gradients[name], p) for name, p in weights.items()])
        for name, parameter in weights.items():
            parameter.grad = gradients[name].mean(dim=0)
        training.update()
        yield


def _alignment(gradients: list[tuple[Tensor, nn.Parameter]]) -> Tensor:
    product = sum(g.flatten(1) @ p.detach().flatten() for g, p in gradients)
    norm = sum(g.flatten(1).square().sum(dim=1) for g, _ in gradients)
    return -product / norm.sqrt()  # type: ignore[union-attr,operator]


def run_of(way: str, training: Training, folder: Path) -> Iterator[None]:
    options: dict[str, dict[str, Any]] = {
        "head": {},
        "all": {"layers": "all"},
        "all_opacus_engine": {"layers": "all", "engine": "opacus"},
    }
    if way in options:
        return recorded(training, folder, **options[way])
    return {"plain": plain, "opacus": opacus, "vmap": vmapped}[way](training, folder)


def timed(run: Iterator[None], device: str) -> float:
    """Seconds of one step that follows one of the same."""
    next(run)
    if device == "cuda":
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        next(run)
        end.record()
        torch.cuda.synchronize()
        return start.elapsed_time(end) / 1000
    began = time.perf_counter()
    next(run)
    return time.perf_counter() - began


def times(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Median milliseconds of each way that runs, and its ratio to the plain step; else why it does not run."""
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        runs: dict[str, Iterator[None]] = {}
        for way in arguments.ways:
            training = Training(name, arguments.device, arguments.torch_dtype, arguments.batch)
            run = run_of(way, training, Path(folder) / way)
            try:
                next(run)
                next(run)
                runs[way] = run
            except Exception as error:
                result[way] = {"fails": f"{type(error).__name__}: {str(error).splitlines()[0][:160]}"}
        order = list(runs)
        rounds = []
        for _ in range(arguments.steps):
            random.shuffle(order)
            rounds.append({way: timed(runs[way], arguments.device) for way in order})
        for run in runs.values():
            run.close()  # type: ignore[attr-defined]
    medians = {way: statistics.median(times[way] for times in rounds) for way in runs}
    for way, median in medians.items():
        result[way] = {"ms": round(1000 * median, 2), "ratio": round(median / medians["plain"], 3)}
    return result


def peak(name: str, way: str, arguments: argparse.Namespace) -> dict[str, float]:
    """MiB that a step needs beyond what is held between steps, in a process of its own."""
    command = [sys.executable, __file__, "--peak", name, way, "--device", arguments.device, "--dtype", arguments.dtype]
    command += ["--batch", str(arguments.batch)] if arguments.batch else []
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def print_peak(name: str, way: str, arguments: argparse.Namespace) -> None:
    training = Training(name, arguments.device, arguments.torch_dtype, arguments.batch)
    with tempfile.TemporaryDirectory() as folder:
        run = run_of(way, training, Path(folder))
        next(run)  # imports and sets up
        peaks = peak_on_cuda(run) if arguments.device == "cuda" else peak_on_cpu(run)
    print(json.dumps({what: round(peak / 2**20, 1) for what, peak in peaks.items()}))


def peak_on_cuda(run: Iterator[None]) -> dict[str, float]:
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    next(run)
    return {"peak_mib": torch.cuda.max_memory_allocated() - before}


def peak_on_cpu(run: Iterator[None]) -> dict[str, float]:
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    before = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
    next(run)
    process = _resident("VmHWM") - before
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        next(run)
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]  # type: ignore[union-attr]
    changes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    return {"peak_mib": process, "tensors_mib": max(accumulate(changes))}


def _resident(what: str) -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(what))
    return int(line.split()[1]) * 1024


def machine(device: str) -> str:
    if device == "cuda":
        return torch.cuda.get_device_name()
    model = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return f"{model[0].partition(':')[2].strip() if model else 'CPU'}, {torch.get_num_threads()} threads"


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    models: dict[str, Any] = {}
    for name in arguments.models:
        table = times(name, arguments)
        for way, row in table.items():
            if "ms" in row and not arguments.no_memory:
                row.update(peak(name, way, arguments))
        models[name] = table
        print(f"{name}: {table}", file=sys.stderr, flush=True)
    return {
        "machine": machine(arguments.device),
        "torch": torch.__version__,
        "dtype": arguments.dtype,
        "steps": arguments.steps,
        "models": models,
    }


def text(result: dict[str, Any]) -> str:
    lines = [f"{result['machine']}, torch {result['torch']}, {result['dtype']}, {result['steps']} steps"]
    for name, table in result["models"].items():
        for way, row in table.items():
            memory = "  ".join(f"{row[what]} MiB ({what[:-4]})" for what in ("peak_mib", "tensors_mib") if what in row)
            facts = row.get("fails") or f"{row['ms']:9.2f} ms  {row['ratio']:6.3f} x  {memory}"
            lines.append(f"{name:9} {way:18} {facts}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(ZOO), choices=list(ZOO))
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS)
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--peak", nargs=2, metavar=("MODEL", "WAY"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.torch_dtype = getattr(torch, arguments.dtype)
    random.seed(0)
    warnings.simplefilter("ignore")
    if arguments.peak:
        print_peak(*arguments.peak, arguments)
        return
    result = measure(arguments)
    print(json.dumps(result) if arguments.json else text(result))


if __name__ == "__main__":
    main()
