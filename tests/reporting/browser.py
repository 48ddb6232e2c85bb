"""Debian's chromium, without a window and without a package: the DevTools protocol over two pipes."""

import json
import os
import select
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

CHROMIUM = Path("/usr/bin/chromium")
IN_CI = "CI" in os.environ
needs_chromium = pytest.mark.skipif(
    not CHROMIUM.exists() and not IN_CI, reason="needs Debian's chromium at /usr/bin/chromium"
)
"""On somebody's machine without Chromium these tests are skipped; where all checks are run, its absence fails them."""
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--remote-debugging-pipe",
    "--window-size=1200,900",
]
# Chromium reads commands from descriptor 3 and answers on 4.
LAUNCH = "import os, sys; os.dup2({0}, 3); os.dup2({1}, 4); os.execv(sys.argv[1], sys.argv[1:])"


class Browser:
    """One chromium with one page at a time. What the page logged, threw and requested is kept in lists."""

    def __init__(self, home: Path) -> None:
        self.home, self.console, self.requests, self.dialogs = home, [], [], []
        self._number, self._session, self._target = 0, None, None
        self._half, self._read_ahead = b"", deque()

    def __enter__(self) -> "Browser":
        assert CHROMIUM.exists(), f"the tests of the report need a browser, and there is no {CHROMIUM}"
        their_input, self._out = os.pipe()
        self._in, their_output = os.pipe()
        command = [sys.executable, "-c", LAUNCH.format(their_input, their_output), str(CHROMIUM), *FLAGS]
        command += [f"--user-data-dir={self.home / 'profile'}", "about:blank"]
        self._process = subprocess.Popen(
            command, pass_fds=(their_input, their_output), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(their_input)
        os.close(their_output)
        self.call("Browser.getVersion")
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.terminate()
        self._process.wait(timeout=10)
        os.close(self._in)
        os.close(self._out)

    def call(self, method: str, timeout: float = 20, **params: Any) -> dict[str, Any]:
        """Send a command and wait for its answer; events that come in between are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session and not method.startswith(("Browser.", "Target.")):
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            answer = self._next(deadline)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
        raise TimeoutError(method)

    def open(self, url: str, *, offline: bool = True, beside: bool = False) -> None:
        """Load a page in a new tab, with the network switched off, and wait until it has loaded. The tab before is
        closed, or stays open `beside` it."""
        if self._session and not beside:
            self.call("Page.navigate", url="about:blank")  # which ends the page before the next one begins
            self.call("Target.closeTarget", targetId=self._target)
        self.console.clear(), self.requests.clear(), self.dialogs.clear()
        self._target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=self._target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log", "Accessibility"):
            self.call(f"{domain}.enable")
        if offline:
            self.call(
                "Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0, uploadThroughput=0
            )
        self.call("Page.navigate", url=url)
        self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'")

    @property
    def tab(self) -> Any:
        """The page at hand; assign one that was at hand before to go back to it."""
        return self._session, self._target

    @tab.setter
    def tab(self, tab: Any) -> None:
        self._session, self._target = tab

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"].get("description", expression))
        return answer["result"].get("value")

    def wait_for(self, expression: str, timeout: float = 15) -> None:
        """Wait until an expression is true in the page."""
        deadline = time.monotonic() + timeout
        while not self.evaluate(expression):
            if time.monotonic() > deadline:
                raise TimeoutError(expression)
            time.sleep(0.02)

    def press(self, key: str, code: int = 0, text: str = "") -> None:
        """Press and release a key, as a person would: the focused element gets it."""
        common = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def _next(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._half:
            if not select.select([self._in], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise TimeoutError("chromium does not answer")
            piece = os.read(self._in, 1 << 20)
            if not piece:
                raise RuntimeError("chromium has ended")
            self._half += piece
        raw, _, self._half = self._half.partition(b"\0")
        message = json.loads(raw)
        self._note(message.get("method"), message.get("params", {}))
        return message

    def _note(self, method: str | None, params: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.console.append(json.dumps(params["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled":
            self.console.append(f"{params['type']}: {params['args']}")
        elif method == "Log.entryAdded":
            self.console.append(f"{params['entry']['level']}: {params['entry']['text']}")
        elif method == "Network.loadingFailed" and not params.get("canceled"):  # a download ends its navigation so
            self.console.append(f"failed: {params}")
        elif method == "Page.javascriptDialogOpening":
            self.dialogs.append(params["message"])
