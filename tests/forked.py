"""Processes that need no import: one server imports all that is heavy once, and forks."""

import functools
import multiprocessing
import os
import resource
import subprocess
import sys
from multiprocessing import forkserver
from pathlib import Path

import pytest

from qcrd import cli


@functools.cache
def context():
    """A context of multiprocessing; its server lives as long as this process."""
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(["preloaded"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(
            "PYTHONPATH", os.pathsep.join(filter(None, sys.path))
        )  # without it: no modules of tests/
        forkserver.ensure_running()
    return forks


class Command:
    """The command line in a process, to be used as a `subprocess.Popen`; what it says goes to a file."""

    def __init__(
        self,
        arguments: tuple[str, ...],
        environment: dict[str, str],
        output: Path,
        files: int | None = None,
    ):
        self._output = output
        self._process = context().Process(target=_command, args=(arguments, environment, output, files))
        self._process.start()
        self.pid = self._process.pid
        self.kill, self.terminate = self._process.kill, self._process.terminate

    @property
    def returncode(self) -> int | None:
        return self.poll()

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired("qcrd", timeout or 0.0, self._output.read_text())
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, None]:
        self.wait(timeout)
        return self._output.read_text(), None


def _command(
    arguments: tuple[str, ...], environment: dict[str, str], output: Path, files: int | None
) -> None:
    if files is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["qcrd", *arguments]
    cli.main()
