"""What hostile bodies cost `signal-gateway serve`: the most memory that it ever has, told by the kernel."""

import re
import socket
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from tests.support.command_line import PATH, URL, running, send_alert

from signal_gateway.kubernetes.resources import RemediationRequest
from signal_gateway.testing import alert, alertmanager_webhook

MIB = 1024 * 1024
LIMIT = 4 * MIB
ALLOWED_MIB = 64
AT_ONCE = 100  # processing.max_concurrent_requests
MOST_VALUES = LIMIT // 16
SLOW_CREATE = 4.0  # seconds: 300 creates last longer than one deadline, and two leave time for a busy machine

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


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells the most memory that was used")
def test_thousands_of_alerts_in_one_webhook_are_decided_within_three_deadlines(config_file, cluster, tmp_path):
    common = {"alertname": "Slow", "severity": "warning", "namespace": "prod"}
    webhook = alertmanager_webhook(
        *(
            alert("Slow", namespace="prod", deployment=f"d-{number % 300}", replica=str(number))
            for number in range(3000)
        ),
        group_by=("alertname",),
    )
    assert webhook["commonLabels"] == common
    config = config_file(processing={"scope": {"enabled": False}, "request_deadline": 20})
    cluster.faults.delay(SLOW_CREATE, verb="create", resource="remediationrequests")

    with running("serve", "--config", config, until="gateway on", log=tmp_path / "log") as (process, line):
        url = URL.search(line)[0]
        send_alert(url)
        Path(f"/proc/{process.pid}/clear_refs").write_text("5")
        idle = memory_mib(process.pid, "VmRSS")

        answers = [httpx.post(f"{url}{PATH}", json=webhook, timeout=120, trust_env=False)]
        while answers[-1].status_code >= 500 and len(answers) < 10:
            answers.append(httpx.post(f"{url}{PATH}", json=webhook, timeout=120, trust_env=False))

        most = memory_mib(process.pid, "VmHWM")

    print(f"idle {idle:.0f} MiB, at most {most:.0f} MiB")  # noqa: T201 - the page about targets quotes it
    assert [answer.status_code for answer in answers[:-1]] in ([504], [504, 504])
    assert answers[-1].status_code == 207
    summary = answers[-1].json()["summary"]
    assert (summary["created"], summary["deduplicated"], summary["failed"]) == (300, 2700, 0)
    found = cluster.lightkube().list(RemediationRequest, namespace="*")
    counts = [one["status"]["deduplication"]["occurrenceCount"] for one in found if one["spec"]["signalName"] == "Slow"]
    assert counts == [10] * 300
    assert most <= idle + ALLOWED_MIB
