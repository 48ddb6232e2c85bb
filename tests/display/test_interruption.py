"""Ctrl-C ends a block wherever it falls, also where Python would drop the exception."""

import contextlib
import gc
import os
import signal
import threading
import time
from collections.abc import Callable

import pytest

from gwa_attrib.display.progress import interruptible, stop_if_asked


def press_ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.01)  # a bytecode later Python has seen it


class Dying:
    def __del__(self) -> None:
        press_ctrl_c()


def in_a_finalizer() -> None:
    Dying()


def in_a_collection() -> None:
    def callback(phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            press_ctrl_c()

    gc.callbacks.append(callback)
    try:
        gc.collect()
    finally:
        gc.callbacks.remove(callback)


@pytest.mark.parametrize("press", [in_a_finalizer, in_a_collection])
def test_it_is_not_lost_where_python_drops_exceptions(press: Callable[[], None]) -> None:
    """It is raised at the next moment that asks."""
    steps: list[str] = []

    def work() -> None:
        press()
        steps.append("dropped")
        stop_if_asked()
        steps.append("lost")

    with pytest.raises(KeyboardInterrupt), interruptible():
        work()
    assert steps == ["dropped"]


@pytest.mark.parametrize("press", [in_a_finalizer, in_a_collection])
def test_at_the_latest_it_is_raised_at_the_end_of_the_block(press: Callable[[], None]) -> None:
    with pytest.raises(KeyboardInterrupt), interruptible():
        press()


def test_it_is_raised_at_once_elsewhere_and_out_of_an_error_made_of_it() -> None:
    steps: list[str] = []

    def work() -> None:
        press_ctrl_c()
        steps.append("it went on")

    with pytest.raises(KeyboardInterrupt), interruptible():
        work()
    assert steps == []

    def library() -> None:
        try:
            press_ctrl_c()
        except BaseException as error:
            raise RuntimeError("the library failed") from error

    with pytest.raises(KeyboardInterrupt), interruptible():
        library()


def test_the_handler_is_put_back_and_another_thread_has_none() -> None:
    before = signal.getsignal(signal.SIGINT)
    with contextlib.suppress(KeyboardInterrupt), interruptible():
        in_a_finalizer()
    assert signal.getsignal(signal.SIGINT) is before
    seen: list[object] = []

    def work() -> None:
        with interruptible():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
