"""Work that takes too long is ended, and nothing of it remains."""

import contextlib
import gc
import signal
import threading
import time
from collections.abc import Callable

import pytest
import torch

from gwa_attrib.comparison.limits import OutOfPatience, at_most
from gwa_attrib.errors import InputError


def _work_for(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(Exception):
            torch.ones(100) @ torch.ones(100)


def test_a_long_block_is_ended_also_where_exceptions_are_swallowed() -> None:
    before = signal.getsignal(signal.SIGALRM)
    began = time.monotonic()
    with pytest.raises(OutOfPatience), at_most(0.2):
        _work_for(30.0)
    assert time.monotonic() < began + 20
    assert signal.getsignal(signal.SIGALRM) is before


def test_a_short_block_and_no_limit() -> None:
    with at_most(0.2):
        pass
    with at_most(None):
        time.sleep(0.3)  # the alarm of the block before is off
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_no_time_and_other_threads_are_refused() -> None:
    with pytest.raises(InputError, match="0 seconds"), at_most(0):
        pass
    errors: list[InputError] = []

    def work() -> None:
        try:
            with at_most(1):
                pass
        except InputError as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert "another thread" in str(errors[0])


class _Slow:
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __del__(self) -> None:
        _work_for(self.seconds)


def _then_work(enter: Callable[[], object]) -> None:
    enter()  # ends only after the alarm
    _work_for(30.0)


def test_an_alarm_inside_a_finalizer_or_a_collection_is_not_lost() -> None:
    """Python drops exceptions that are raised there: the alarm waits until they are over."""

    def callback(phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            _work_for(0.3)

    for enter in (lambda: _Slow(0.4), gc.collect):
        began = time.monotonic()
        gc.callbacks.append(callback)
        try:
            with pytest.raises(OutOfPatience), at_most(0.1):
                _then_work(enter)
        finally:
            gc.callbacks.remove(callback)
        assert time.monotonic() < began + 20
        assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
