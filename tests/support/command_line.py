"""`signal-gateway` as a user runs it: in a process of its own."""

import contextlib
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx

from signal_gateway.testing import alert, alertmanager_webhook

COMMAND = [sys.executable, "-m", "signal_gateway"]
NOBODY = "http://127.0.0.1:9"
PATH = "/api/v1/signals/prometheus"
URL = re.compile(r"http://127\.0\.0\.1:\d+")


def run(*arguments: object, cwd: Path | None = None, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=cwd, env=os.environ | environment)


@contextlib.contextmanager
def running(
    *arguments: object, until: str, stream: str = "stdout", log: "Path | None" = None
) -> "Iterator[tuple[subprocess.Popen[str], str]]":
    """Run a command that goes on until it is told to end; give the process and the line that it was waited for.

    A command that logs more than a pipe holds writes its stderr to the file `log`: a full pipe would stop it.
    """
    command = [*COMMAND, *map(str, arguments)]
    with (
        open(log or os.devnull, "w") as file,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=file if log else subprocess.PIPE, text=True
        ) as process,
    ):
        try:
            line = next((line for line in getattr(process, stream) if until in line), None)
            assert line is not None, log.read_text() if log else process.stderr and process.stderr.read()
            yield process, line
        finally:
            if process.poll() is None:
                process.kill()


def one_line_mistake(result: "subprocess.CompletedProcess[str]") -> str:
    """Insist that a command said what was wrong in one line and did nothing else; return the line."""
    assert (result.returncode, result.stdout) == (2, ""), result.stderr
    assert "Traceback" not in result.stderr
    assert result.stderr.count("\n") == 1
    return result.stderr


def send_alert(url, deployment="api"):
    """Send an alert, and return the name of the RemediationRequest that came of it."""
    webhook = alertmanager_webhook(alert("X", namespace="prod", deployment=deployment))
    response = httpx.post(f"{url}{PATH}", json=webhook, trust_env=False)
    assert response.status_code == 201
    return response.json()["remediationRequestName"]


@contextlib.contextmanager
def running_until_it_asks(*arguments: object, of: socket.socket) -> "Iterator[subprocess.Popen[str]]":
    """Run a command; give the process when it has connected to a listening socket, where nobody answers."""
    command = [*COMMAND, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            of.settimeout(20)
            connection, _ = of.accept()
            with connection:
                yield process
        finally:
            if process.poll() is None:
                process.kill()
