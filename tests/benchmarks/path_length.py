"""Path length: the files and functions of ours between the POST of one alert and its stored audit events.

Two walks are traced with a profile function on every thread: one alert from POST to its stored rows (scope on, one
Deployment that the gateway has not seen), and one audit event from `record()` to its row. Both run in a gateway that
has handled an alert before, on connections that are open; `--first` traces its first alert instead. The embedded API
server and the harness are not counted, and a comprehension is no function.

    python -m tests.benchmarks.path_length [--first] [--list]
"""

import sqlite3
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import signal_gateway
from signal_gateway import GatewayConfig, create_gateway
from signal_gateway.audit import AuditEvent, AuditStoreConfig, BufferedAuditStore, DataStorageClient
from signal_gateway.testing import EmbeddedCluster, EmbeddedDataStorage, LiveGateway, alert, alertmanager_webhook, serve

MAX_FILES, MAX_FUNCTIONS = 40, 200

_SOURCE = str(Path(signal_gateway.__file__).parent) + "/"
_NOT_COUNTED = ("apiserver/", "testing/", "audit/recorded_ids.py")  # only the harness keeps the ids of events


class Trace:
    """The code objects of ours that ran while it was recording."""

    def __init__(self) -> None:
        self._codes: set[CodeType] = set()
        self._is_recording = False

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        if self._is_recording and event == "call":
            self._codes.add(frame.f_code)

    @contextmanager
    def recording(self) -> Iterator[None]:
        self._codes.clear()
        self._is_recording = True
        try:
            yield
        finally:
            self._is_recording = False

    def functions(self) -> dict[str, list[str]]:
        """Return the functions that ran, by file below the package."""
        found: dict[str, set[str]] = defaultdict(set)
        for code in self._codes:
            file = code.co_filename.removeprefix(_SOURCE)
            ours = code.co_filename.startswith(_SOURCE) and not file.startswith(_NOT_COUNTED)
            if ours and not code.co_name.startswith("<"):
                found[file].add(f"{code.co_qualname}:{code.co_firstlineno}")
        return {file: sorted(names) for file, names in sorted(found.items())}


def main(arguments: list[str]) -> int:
    """Print both walks; return 1 if the alert's is longer than the bound."""
    trace = Trace()
    threading.setprofile(trace)
    sys.setprofile(trace)
    with tempfile.TemporaryDirectory() as spool, EmbeddedCluster() as cluster, EmbeddedDataStorage() as datastorage:
        cluster.workload("default/Deployment/api", managed=True)
        cluster.workload("default/Deployment/other", managed=True)
        config = AuditStoreConfig(spool_directory=spool)
        client = DataStorageClient(datastorage.url)
        with BufferedAuditStore(client, service="gateway", config=config) as store:
            gateway = create_gateway(GatewayConfig(), kubernetes=cluster.client(), audit_store=store)
            with serve(gateway, cluster=cluster) as live:
                if "--first" not in arguments:
                    _send(live, "other")
                    store.flush(timeout=30)
                with trace.recording():
                    _wait_for_rows(datastorage, of=_send(live, "api"), count=2)
                alert_walk = trace.functions()
            with trace.recording():
                store.record(
                    AuditEvent(
                        event_type="gateway.signal.received",
                        event_category="gateway",
                        event_action="received",
                        event_outcome="success",
                        correlation_id="rr-1",
                        event_data={"event_type": "gateway.signal.received"},
                    )
                )
                _wait_for_rows(datastorage, of="rr-1", count=1)
            event_walk = trace.functions()
    sys.setprofile(None)
    threading.setprofile(None)
    files, functions = _print("alert: POST to stored rows", alert_walk, is_long="--list" in arguments)
    _print("event: record() to its row", event_walk, is_long="--list" in arguments)
    return int(files > MAX_FILES or functions > MAX_FUNCTIONS)


def _send(live: LiveGateway, deployment: str) -> str:
    """Send an alert about a Deployment; return the name of its RemediationRequest."""
    payload = alertmanager_webhook(alert("Slow", namespace="default", deployment=deployment))
    response = live.client.post("/api/v1/signals/prometheus", json=payload)
    assert response.status_code == 201, response.text
    name: str = response.json()["remediationRequestName"]
    return name


def _wait_for_rows(datastorage: EmbeddedDataStorage, *, of: str, count: int) -> None:
    """Wait for the rows of a correlation id, by a connection of its own: a flush would be on the path."""
    with closing(sqlite3.connect(datastorage.database)) as database:
        query = "SELECT count(*) FROM audit_events WHERE correlation_id = ?"
        while database.execute(query, [of]).fetchone() < (count,):
            time.sleep(0.01)


def _print(title: str, walk: dict[str, list[str]], *, is_long: bool) -> tuple[int, int]:
    functions = sum(map(len, walk.values()))
    rooms: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for file, names in walk.items():
        rooms[file.split("/")[0]][0] += 1
        rooms[file.split("/")[0]][1] += len(names)
    print(f"{title}: {len(walk)} files, {functions} functions")
    for room, (room_files, room_functions) in sorted(rooms.items()):
        print(f"  {room}: {room_files} files, {room_functions} functions")
    if is_long:
        for file, names in walk.items():
            print(f"    {file} ({len(names)}): {', '.join(names)}")
    return len(walk), functions


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
