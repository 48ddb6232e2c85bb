"""The command line in a process of its own, forked from one that has imported everything: what a fresh one spends on
imports, seconds of each call, is spent once. That a fresh one works is what the tests of the help, the loop and the
examples show."""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import TextIO

IMPORTED = [
    "gwa_attrib.cli",
    "gwa_attrib.auditing.pipeline",
    "gwa_attrib.cleaning",
    "gwa_attrib.comparison.methods",
    "gwa_attrib.exporting.every_target",
    "gwa_attrib.plot.written",
    "gwa_attrib.recording.diagnosis",
    "gwa_attrib.reporting.build",
    "gwa_attrib.stopping",
    "sklearn.datasets",
]


def call_command(
    *words: object, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ``gwa-attrib`` with these words; what it prints, and its exit status."""
    texts = [str(word) for word in words]
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = _server().Process(
            target=_call, args=(texts, str(cwd or Path.cwd()), dict(env or {}), _fd(out), _fd(err))
        )
        process.start()
        process.join()
        status = process.exitcode
        process.close()
        for file in (out, err):
            file.seek(0)
        return subprocess.CompletedProcess(texts, status if status is not None else 1, out.read(), err.read())


@cache
def _server() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    return context


def _fd(file: TextIO) -> object:
    return multiprocessing.reduction.DupFd(file.fileno())  # type: ignore[attr-defined]


def _call(words: list[str], cwd: str, env: dict[str, str], out: object, err: object) -> None:
    for number, file in ((1, out), (2, err)):
        os.dup2(file.detach(), number)  # type: ignore[attr-defined]
    os.chdir(cwd)
    sys.path.insert(0, "")  # as `python -m gwa_attrib.cli` has it: modules of the folder it is called in
    os.environ.update(env)
    sys.argv = ["gwa-attrib", *words]
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
    from gwa_attrib.cli import main

    main()
