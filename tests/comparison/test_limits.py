"""Work in a process of its own is ended when it takes too long, and nothing of it remains."""

import os
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest

from gwa_attrib.comparison.limits import TimeLimitReached, Worker, WorkerDied, check_limit
from gwa_attrib.errors import InputError

LONG = 60.0


def pid() -> int:
    return os.getpid()


def swallow(seconds: float, note: Path) -> None:
    """Work that no exception can end, as in a library that catches everything."""
    note.write_text(str(os.getpid()), encoding="ascii")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            time.sleep(0.01)
        except BaseException:
            continue


def fail() -> None:
    raise InputError(expected="a", found="b", todo="c")


class Odd(Exception):  # noqa: N818
    """It can be pickled, and not read back."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(f"{one} {other}")


def fail_oddly() -> None:
    raise Odd("one", "other")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def printed() -> str:
    print("a library that prints")
    return "told"


@pytest.fixture(scope="module")
def worker():
    with Worker() as worker:
        yield worker


def test_one_process_answers_one_call_after_the_other(worker: Worker, capfd: pytest.CaptureFixture[str]) -> None:
    assert worker.call(pid) == worker.call(pid, limit=LONG) != os.getpid()
    assert worker.call(printed) == "told"
    assert capfd.readouterr().out == ""


def test_a_call_that_takes_too_long_is_ended_with_its_process(worker: Worker, tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(TimeLimitReached):
        worker.call(swallow, LONG, tmp_path / "pid", limit=1.0)
    assert time.monotonic() < began + LONG / 2
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text(encoding="ascii")))
    assert psutil.pid_exists(worker.call(pid))


def test_what_a_call_raises_is_raised_here(worker: Worker) -> None:
    with pytest.raises(InputError, match=r"Expected a\. Found b\. c"):
        worker.call(fail)
    with pytest.raises(RuntimeError, match="Odd: one other"):
        worker.call(fail_oddly)
    assert worker.call(printed) == "told"


def test_a_process_that_dies_is_no_answer(worker: Worker) -> None:
    with pytest.raises(WorkerDied, match="signal 9"):
        worker.call(die, limit=LONG)
    assert worker.call(printed) == "told"


def test_a_limit_holds_in_other_threads_too(worker: Worker, tmp_path: Path) -> None:
    raised: list[BaseException] = []

    def work() -> None:
        try:
            worker.call(swallow, LONG, tmp_path / "pid", limit=0.5)
        except TimeLimitReached as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(LONG / 2)
    assert len(raised) == 1


def test_the_end_of_the_block_is_the_end_of_the_process() -> None:
    with Worker() as worker:
        process = worker.call(pid)
        assert psutil.pid_exists(process)
    assert not psutil.pid_exists(process)


@pytest.mark.parametrize("seconds", [0, -1.0, float("nan")])
def test_a_limit_that_leaves_no_time_is_refused(seconds: float) -> None:
    with pytest.raises(InputError, match="time limit"):
        check_limit(seconds)
