"""The cost of a piece of work, and an end to work that takes too long."""

import os
import pickle
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Client, Connection, Listener
from typing import Self, TypeVar

from gwa_attrib.errors import InputError

R = TypeVar("R")
PAUSE = 0.005
"""Seconds between two looks at the memory."""
_KEY = "GWA_ATTRIB_WORKER_KEY"
_START = 120.0
"""Seconds that a worker may take to start Python; more means that it never will."""


@dataclass
class Cost:
    """The cost of a block; filled in when it ends."""

    seconds: float = float("nan")
    megabytes: float = float("nan")
    """Peak of the resident memory above its value at the start."""


@contextmanager
def measured() -> Iterator[Cost]:
    """Measure wall time and memory of the whole process during the block; memory is looked at every 5 ms."""
    import psutil

    cost, stop, process = Cost(), threading.Event(), psutil.Process()
    before = process.memory_info().rss
    peak = [before]

    def watch() -> None:
        while not stop.wait(PAUSE):
            peak[0] = max(peak[0], process.memory_info().rss)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    began = time.perf_counter()
    try:
        yield cost
    finally:
        cost.seconds = time.perf_counter() - began
        stop.set()
        watcher.join()
        cost.megabytes = (max(peak[0], process.memory_info().rss) - before) / 1e6


class TimeLimitReached(Exception):  # noqa: N818 (it says what happened; nothing was wrong)
    """A call took longer than its limit; its process is gone."""


class WorkerDied(Exception):  # noqa: N818
    """The process of a call ended before the call did; the text says how."""


class Worker:
    """A second Python process that answers one call at a time, and that can be ended in the middle of one.

    A process, and no alarm: an alarm reaches Python code of the main thread only, on some systems, and not a long loop
    inside a library. Not `multiprocessing`'s spawn either: that would run the user's own script a second time.
    After a call that was ended, the next one starts a new process.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._line: Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def call(self, function: Callable[..., R], *args: object, limit: float | None = None) -> R:
        """Return what `function(*args)` returns there; both ways everything is pickled.

        Args:
            function: A function of an importable module.
            args: Its arguments.
            limit: Seconds after which the process is ended, counted from when it has got the call; None: never.

        Raises:
            TimeLimitReached: it took longer.
            WorkerDied: the process ended by itself: it was killed, or ran out of memory.
            Exception: what the function raised.
        """
        line = self._started()
        try:
            line.send_bytes(pickle.dumps((function, args)))
            if not line.poll(limit):
                raise TimeLimitReached
            answer = line.recv_bytes()
        except (EOFError, OSError) as error:
            raise WorkerDied(self._how_it_ended()) from error
        except BaseException:  # Ctrl-C too: nobody will read its answer
            self.end()
            raise
        returned, value = pickle.loads(answer)
        if not returned:
            raise value
        result: R = value
        return result

    def end(self) -> None:
        """End the process, whatever it is doing."""
        if self._line is not None:
            self._line.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = self._line = None

    def _started(self) -> Connection:
        if self._line is not None:
            return self._line
        key = secrets.token_bytes(16)
        with Listener(authkey=key) as listener:
            # The key goes by the environment: the arguments of a process are for everybody to read.
            environment = {**os.environ, _KEY: key.hex(), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
            program = "import sys; from gwa_attrib.comparison.limits import _serve; _serve(sys.argv[1])"
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", program, str(listener.address)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # a library that prints must not get into the result of a command
            )
            self._line = _accepted(listener, self._process)
        return self._line

    def _how_it_ended(self) -> str:
        try:
            status = self._process.wait(timeout=5) if self._process else None
        except subprocess.TimeoutExpired:
            status = None
        self.end()
        if status is None:
            return "its process stopped answering"
        killed = " (out of memory, perhaps)" if status == -9 else ""
        return f"its process ended by signal {-status}{killed}" if status < 0 else f"its process ended with {status}"


def check_limit(seconds: float | None) -> None:
    """Refuse a limit that leaves no time.

    Raises:
        InputError: zero seconds or fewer.
    """
    if seconds is not None and not seconds > 0:
        raise InputError(
            expected="a time limit of more than 0 seconds, or none",
            found=f"{seconds} seconds",
            todo="Leave the limit out: everything is then waited for.",
        )


def _accepted(listener: Listener, process: subprocess.Popen[bytes]) -> Connection:
    """Wait for the process to call; a process that ends before it does so would be waited for without end."""
    found: list[Connection] = []

    def accept() -> None:
        with suppress(OSError):  # closed, as nobody will call any more
            found.append(listener.accept())

    waiting = threading.Thread(target=accept, daemon=True)
    waiting.start()
    began = time.monotonic()
    while waiting.is_alive():
        waiting.join(0.05)
        if process.poll() is not None or time.monotonic() > began + _START:
            raise WorkerDied("a second Python could not be started")
    return found[0]


def _serve(address: str) -> None:
    """Answer calls until the other end hangs up; the body of the worker's process."""
    import signal

    from gwa_attrib.display.progress import silence

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends this process
    with Client(address, authkey=bytes.fromhex(os.environ.pop(_KEY))) as line, silence():
        while True:
            try:
                function, args = pickle.loads(line.recv_bytes())
            except EOFError:
                return
            except Exception as error:
                answer: tuple[bool, object] = False, error
            else:
                try:
                    answer = True, function(*args)
                except Exception as error:
                    answer = False, error
            line.send_bytes(_pickled(answer))


def _pickled(answer: tuple[bool, object]) -> bytes:
    try:
        data = pickle.dumps(answer)
        pickle.loads(data)  # an exception with arguments of its own is pickled gladly, and fails only here
    except Exception as error:
        found = answer[1]
        return pickle.dumps((False, RuntimeError(f"{type(found).__name__}: {found} ({error})")))
    return data
