"""What a piece of work costs: wall time, and memory beyond what was held before."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

STATM = Path("/proc/self/statm")
PAUSE = 0.005


@dataclass
class Cost:
    """Filled in at the end of the block."""

    seconds: float = float("nan")
    megabytes: float = float("nan")
    """Peak of the resident memory above its value at the start; NaN where the system does not tell (not Linux)."""


@contextmanager
def measured() -> Iterator[Cost]:
    """The cost of the block, of the whole process; memory is looked at every 5 ms."""
    cost, stop = Cost(), threading.Event()
    before = _pages()
    peak = [before]

    def watch() -> None:
        while not stop.wait(PAUSE):
            peak[0] = max(peak[0], _pages())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    began = time.perf_counter()
    try:
        yield cost
    finally:
        cost.seconds = time.perf_counter() - began
        stop.set()
        watcher.join()
        if before:
            cost.megabytes = max(0, max(peak[0], _pages()) - before) * _page_size() / 1e6


def _pages() -> int:
    return int(STATM.read_text(encoding="ascii").split()[1]) if STATM.exists() else 0


def _page_size() -> int:
    import resource

    return resource.getpagesize()
