"""What hostile bodies cost `signal-gateway serve`: the most memory that it ever has, told by the kernel."""

import re
import socket
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from tests.support.command_line import PATH, URL, running, send_alert

MIB = 1024 * 1024
LIMIT = 4 * MIB
ALLOWED_MIB = 64
AT_ONCE = 100  # processing.max_concurrent_requests
MOST_VALUES = LIMIT // 16

ALERT = b'{"version":"4","alerts":[{"status":"firing","startsAt":"2026-01-01T00:00:00Z",'
ALERT += b'"labels":{"alertname":"X","namespace":"prod","deployment":"api"},"odd":['


def filled(item: bytes, values: int) -> bytes:
    """Make a webhook as large as may be, or of as many values as may be, of one alert that can be handled."""
    count = min((LIMIT - len(ALERT) - 10) // len(item), (MOST_VALUES - 20) // values)
    body = ALERT + item * count
    return body.ljust(LIMIT - 10) + b"0]}]}"


BODIES = {
    "beyond the limit": b"x" * (10 * MIB),
    "nested without end": b"[" * 100_000,
    "empty objects": filled(b"{},", 2),
    "objects": filled(b'{"a":1},', 2),
    "nested": filled(b"[[[[]]]],", 5),
    "one text": ALERT + b'"' + b"x" * (LIMIT - 300) + b'"]}]}',
    "one text of wide characters": ALERT + '"\U0001f600'.encode() + b"x" * (LIMIT - 300) + b'"]}]}',
    "texts of wide characters": filled('"\U0001f600xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",'.encode(), 1),
    "alerts that are numbers": b'{"version":"4","alerts":[' + b"1," * (MOST_VALUES - 20) + b"1]}",
}


def memory_mib(pid: int, key: str) -> float:
    found = re.search(rf"^{key}:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024


def statuses(url: str, body: bytes) -> Counter[int]:
    """Send a body many times at once: all of it but its end, then all of the ends."""
    host, port = url.removeprefix("http://").split(":")
    are_waiting = threading.Barrier(AT_ONCE)
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"

    def send(_: int) -> int:
        with socket.create_connection((host, int(port)), timeout=120) as sock:
            sock.sendall(f"{head}Connection: close\r\n\r\n".encode())
            try:
                sock.sendall(body[:-1])
            except OSError:
                are_waiting.abort()  # it was refused, and will not wait
            with suppress(threading.BrokenBarrierError):
                are_waiting.wait()
            with suppress(OSError):
                sock.sendall(body[-1:])
            return int(sock.makefile("rb").readline().split()[1])

    with ThreadPoolExecutor(AT_ONCE) as threads:
        return Counter(threads.map(send, range(AT_ONCE)))


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells the most memory that was used")
def test_hostile_bodies_cost_little_memory(config_file, tmp_path):
    with running("serve", "--config", config_file(), until="gateway on", log=tmp_path / "log") as (process, line):
        url = URL.search(line)[0]
        for number in range(5):
            send_alert(url, deployment=f"first-{number}")
        send_alert(url, deployment="api")
        Path(f"/proc/{process.pid}/clear_refs").write_text("5")  # forgets the most so far
        idle = memory_mib(process.pid, "VmRSS")

        answered = {name: statuses(url, body) for name, body in BODIES.items()}

        most = memory_mib(process.pid, "VmHWM")
        send_alert(url, deployment="last")

    print(f"idle {idle:.0f} MiB, at most {most:.0f} MiB")  # noqa: T201 - a decision quotes it
    assert most <= idle + ALLOWED_MIB, answered
    assert answered["beyond the limit"] == {413: AT_ONCE}
    assert set().union(*answered.values()) == {201, 202, 400, 413, 503} - {201}
    assert all(202 in answered[name] for name in BODIES if "text" in name or "objects" in name or name == "nested")
