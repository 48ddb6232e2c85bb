"""One line of progress on a terminal, and a Ctrl-C that is never lost."""

import gc
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm.auto import tqdm

TIME_LEFT = "{desc}: {percentage:3.0f}%|{bar}| {remaining} left{postfix}"
"""A bar for work that is best described by when it ends."""
WEAK = ("weakref.py", "_weakrefset.py")
"""Files whose functions are called when an object dies."""


class _Line:
    """The owner of the one line, and whether there is a line at all."""

    def __init__(self) -> None:
        self.silent = False
        self.bar: Any = None
        self.is_stage = False
        self.interrupted = False

    def is_taken(self) -> bool:
        return self.bar is not None and not self.bar.disable


_line = _Line()


def is_shown() -> bool:
    """Tell whether anybody sees progress: stderr is a terminal, and nobody asked for silence."""
    return not _line.silent and sys.stderr is not None and sys.stderr.isatty()


@contextmanager
def silence(wanted: bool = True) -> Iterator[None]:
    """No progress inside the block; in a process that works for another, or for a program that reads the result."""
    before = _line.silent
    _line.silent = before or wanted
    try:
        yield
    finally:
        _line.silent = before


def bar(
    things: Iterable[object] | None = None, what: str = "", *, total: int | None = None, **options: object
) -> "tqdm":
    """A tqdm bar on the one line. Inside another bar it is none, and a stage makes room for it.

    Args:
        things: What to go through; or None, and `total` with calls of ``update``.
        what: Stands before it.
        total: How many things.
        options: Of tqdm, `unit` and `bar_format` say.
    """
    from tqdm.auto import tqdm  # here: whoever imports the package shows nothing yet

    stop_if_asked()
    if _line.is_taken() and _line.is_stage:
        _line.bar.close()
    hidden = _line.is_taken() or not is_shown()
    made = tqdm(things, what, total, leave=False, disable=hidden, dynamic_ncols=True, **options)
    if not hidden:
        _line.bar, _line.is_stage = made, False
    return made


@contextmanager
def stage(what: str) -> Iterator[None]:
    """Say on the line what is done inside the block, until a bar needs it."""
    made = bar(what=what, bar_format="{desc}")
    _line.is_stage = _line.is_stage or made is _line.bar
    try:
        yield
        stop_if_asked()
    finally:
        made.close()


def note(text: str) -> None:
    """Say something above the line, to whoever watches it."""
    if is_shown():
        from tqdm.auto import tqdm

        tqdm.write(text, file=sys.stderr)


def stop_if_asked() -> None:
    """Raise the KeyboardInterrupt that could not be raised when Ctrl-C came; see `interruptible`."""
    if _line.interrupted:
        _line.interrupted = False
        raise KeyboardInterrupt


@contextmanager
def interruptible() -> Iterator[None]:
    """Inside the block Ctrl-C is a KeyboardInterrupt, whatever it hits.

    Where Python would drop the exception (in a finalizer, in a callback of the garbage collector), it is raised at the
    next moment that asks, at the latest at the end of the block; and an error that a library made of it is it again.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came = False

    def ring(_number: int, frame: FrameType | None) -> None:
        nonlocal came
        came = True
        if swallows(frame):
            _line.interrupted = True
            return
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, ring)
    try:
        yield
        stop_if_asked()
    except Exception as error:
        if came:
            raise KeyboardInterrupt from error
        raise
    finally:
        _line.interrupted = False
        signal.signal(signal.SIGINT, before)


def swallows(frame: FrameType | None) -> bool:
    """Tell whether Python would drop an exception raised here: in a finalizer or a callback of garbage collection."""
    callbacks = {getattr(callback, "__code__", None) for callback in gc.callbacks}
    while frame is not None:
        code = frame.f_code
        if code.co_name == "__del__" or code in callbacks or code.co_filename.endswith(WEAK):
            return True
        frame = frame.f_back
    return False
