"""The processes of a campaign: started from the project's root, talked to by lines, and ended with the campaign."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

__all__ = ["Process", "running"]

_ROOT = Path(__file__).parents[2]
_END_TIMEOUT = 30.0


class Process:
    """A module of this project that runs as a program.

    Args:
        popen: It.
        module: Its name, for messages.
    """

    def __init__(self, popen: "subprocess.Popen[str]", module: str) -> None:
        self._module = module
        self._popen = popen

    def say(self, line: str) -> None:
        self._stdin.write(line + "\n")
        self._stdin.flush()

    def hear(self) -> str:
        """Return its next line.

        Raises:
            RuntimeError: It ended instead.
        """
        line = self._stdout.readline()
        if not line:
            raise RuntimeError(f"{self._module} ended early, status {self._popen.wait(_END_TIMEOUT)}")
        return line.rstrip("\n")

    @property
    def _stdin(self) -> IO[str]:
        assert self._popen.stdin is not None
        return self._popen.stdin

    @property
    def _stdout(self) -> IO[str]:
        assert self._popen.stdout is not None
        return self._popen.stdout


@contextmanager
def running(module: str, *arguments: str) -> Iterator[Process]:
    """Run a module until the end of the block; its standard input is closed then, and it should end with that."""
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as popen:
        try:
            yield Process(popen, module)
            assert popen.stdin is not None
            popen.stdin.close()
            popen.wait(_END_TIMEOUT)
        finally:
            popen.kill()
