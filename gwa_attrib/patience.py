"""An end to work that takes too long."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from gwa_attrib.errors import InputError


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
            expected="patience for some seconds, in the main thread, on a system with alarms",
            found=f"{seconds} seconds" if can else "another thread, or Windows",
            todo="Leave patience out: everything is then waited for.",
        )

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise OutOfPatience

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
