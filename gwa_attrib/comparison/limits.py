"""An end to work that takes too long."""

import gc
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from gwa_attrib.errors import InputError

AGAIN = 0.01
"""Seconds until the next try, where the first fell into code that lets no exception out."""
LATER = 0.5
"""Seconds until the next, where the block goes on all the same."""
WEAK = ("weakref.py", "_weakrefset.py")
"""Files whose functions are called when an object dies."""


class OutOfPatience(BaseException):
    """Raised in the block; no Exception, so that no library takes it for one of its own."""


@contextmanager
def at_most(seconds: float | None) -> Iterator[None]:
    """End the block with `OutOfPatience` after so many seconds of wall time; None: never.

    Raises:
        InputError: no time at all, or a place where the system cannot interrupt: Windows, or another than the main
            thread.
    """
    if seconds is None:
        yield
        return
    can = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    if not (can and seconds > 0):
        raise InputError(
            expected="a time limit of some seconds, in the main thread, on a system with alarms",
            found=f"{seconds} seconds" if can else "another thread, or Windows",
            todo="Leave the limit out: everything is then waited for.",
        )

    collecting = False

    def watch(phase: str, _info: dict[str, int]) -> None:
        nonlocal collecting
        collecting = phase == "start"

    def ring(_number: int, frame: FrameType | None) -> None:
        if collecting or swallows(frame):
            return  # it rings again
        signal.setitimer(signal.ITIMER_REAL, LATER, LATER)
        raise OutOfPatience

    gc.callbacks.append(watch)
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        gc.callbacks.remove(watch)


def swallows(frame: FrameType | None) -> bool:
    """Whether Python would drop an exception raised here: in a finalizer or a callback of the garbage collector."""
    callbacks = {getattr(callback, "__code__", None) for callback in gc.callbacks}
    while frame is not None:
        code = frame.f_code
        if code.co_name == "__del__" or code in callbacks or code.co_filename.endswith(WEAK):
            return True
        frame = frame.f_back
    return False
