"""Part: one program of a chain, which is killed and started again on the same port and with the same files."""

import signal
import socket
import subprocess
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
from prometheus_client.parser import text_string_to_metric_families

__all__ = ["Part", "ReservedPort"]

_ROOT = Path(__file__).parents[2]
_TIMEOUT = 60.0


class ReservedPort:
    """A port of 127.0.0.1 that nobody else is given while its program is down, until the end of `with`.

    Linux lets a program that sets `SO_REUSEADDR`, as servers do, listen beside a socket that does not listen.
    """

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._socket.close()

    @property
    def number(self) -> int:
        number: int = self._socket.getsockname()[1]
        return number

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.number}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"


class Part:
    """A program that listens on a port of its own, running within `with` but for the time between `kill` and `start`.

    Args:
        command: It.
        port: Where it listens.
        until: What it says when it answers.
    """

    def __init__(self, command: Sequence[str], *, port: ReservedPort, until: str) -> None:
        self.url = port.url
        self._command = list(command)
        self._until = until
        self._log: deque[str] = deque(maxlen=200)
        self._answers = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process is not None:
            self.kill()

    def start(self) -> None:
        """Start it; it answers when this returns."""
        self._answers.clear()
        self._process = subprocess.Popen(
            self._command, cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,))
        self._reader.start()
        if not self._answers.wait(_TIMEOUT) or self._process.poll() is not None:
            self.kill()
            raise AssertionError(f"{self} did not start:\n{self.log}")

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Stop it with SIGTERM, and return its exit status."""
        return self._end(signal.SIGTERM)

    def sample(self, name: str, **labels: str) -> float:
        """Return a sample of its metrics page, summed up over the labels that are not given; 0 if there is none."""
        page = httpx.get(f"{self.url}/metrics", trust_env=False).text
        samples = (sample for family in text_string_to_metric_families(page) for sample in family.samples)
        return sum(one.value for one in samples if one.name == name and labels.items() <= one.labels.items())

    @property
    def log(self) -> str:
        """The last lines that it wrote."""
        return "".join(self._log)

    def __str__(self) -> str:
        return f"{Path(self._command[0]).name} at {self.url}"

    def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        assert self._process.stdout is not None
        assert self._reader is not None
        self._process.send_signal(number)
        status = self._process.wait(_TIMEOUT)
        self._reader.join(_TIMEOUT)
        self._process.stdout.close()
        self._process = None
        return status

    def _read(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self._log.append(line)
            if self._until in line:
                self._answers.set()
        self._answers.set()  # it ended; nobody should wait for it any longer
