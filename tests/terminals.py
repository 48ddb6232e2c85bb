"""A command on a real terminal: what it draws there as it comes, and Ctrl-C at a moment of one's choice."""

import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
from collections.abc import Sequence
from contextlib import suppress


class OnTerminal:
    """A process whose stderr is a terminal of 24 lines; its stdout is kept apart."""

    def __init__(self, words: Sequence[str], columns: int = 100, **options: object) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=slave, text=True, **options)
        os.close(slave)
        self.drawn = ""

    def wait_for(self, text: str) -> None:
        """Until it has drawn this."""
        while text not in self.drawn:
            assert self._more(), f"it ended without {text!r}: {self.drawn[-2000:]}"

    def interrupt(self) -> None:
        os.kill(self.process.pid, signal.SIGINT)

    def end(self) -> tuple[int, str, str]:
        """Exit status, stdout, and everything that was drawn."""
        while self._more():
            pass
        os.close(self._master)
        stdout, _ = self.process.communicate()
        return self.process.returncode, stdout, self.drawn

    def _more(self) -> bool:
        new = b""
        with suppress(OSError):  # nobody has the other end open any more
            new = os.read(self._master, 4096)
        self.drawn += new.decode("utf-8", "replace")
        return bool(new)
