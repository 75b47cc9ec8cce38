"""Path length: the files and functions of ours between the POST of one alert and its stored audit events.

Two walks are traced with a profile function on every thread: one alert from POST to its stored rows (scope on, one
Deployment that the gateway has not seen), and one audit event from `record()` to its row. Both run in a gateway that
has handled an alert before, on connections that are open; `--first` traces its first alert instead. A walk ends with
the commit of its rows, not with their acknowledgement. The embedded API server, the harness and the clock of the `Date`
header are not counted, and a comprehension is no function.

    python -m tests.benchmarks.path_length [--first] [--list]
"""

import sqlite3
import sys
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import signal_gateway
from signal_gateway import GatewayConfig, create_gateway
from signal_gateway.audit import AuditEvent, AuditStoreConfig, BufferedAuditStore, DataStorageClient
from signal_gateway.datastorage.sqlite.backend import SqliteBackend
from signal_gateway.testing import EmbeddedCluster, EmbeddedDataStorage, LiveGateway, alert, alertmanager_webhook, serve

MAX_FILES, MAX_FUNCTIONS = 40, 200

_SOURCE = str(Path(signal_gateway.__file__).parent) + "/"
_NOT_COUNTED = (
    "apiserver/",
    "testing/",
    "audit/recorded_ids.py",  # only the harness keeps the ids of events
    "web/serving/app_server.py",  # the Date header, once a second
    "web/response_headers.py",
)
_COMMITS = SqliteBackend._insert.__code__
_DEADLINE = 30.0


class Trace:
    """The code objects of ours that ran until the commit of the rows."""

    def __init__(self) -> None:
        self._codes: set[CodeType] = set()
        self._is_recording = False
        self._is_complete: Callable[[], bool] = lambda: True
        self._ended = threading.Event()

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        if not self._is_recording:
            return
        if event == "call":
            self._codes.add(frame.f_code)
        elif event == "return" and frame.f_code is _COMMITS and self._is_complete():
            self._is_recording = False
            self._ended.set()

    @contextmanager
    def recording(self, datastorage: EmbeddedDataStorage, *, rows: int) -> Iterator[None]:
        """Record the block, and all threads until an insert has committed the last of so many new rows."""
        wanted = _rows(datastorage) + rows
        self._is_complete = lambda: _rows(datastorage) >= wanted
        self._codes.clear()
        self._ended.clear()
        self._is_recording = True
        yield
        if not self._ended.wait(_DEADLINE):
            raise SystemExit(f"the rows were not stored within {_DEADLINE} s")

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
                with trace.recording(datastorage, rows=2):
                    _send(live, "api")
                alert_walk = trace.functions()
            with trace.recording(datastorage, rows=1):
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
            event_walk = trace.functions()
    sys.setprofile(None)
    threading.setprofile(None)
    files, functions = _print("alert: POST to stored rows", alert_walk, is_long="--list" in arguments)
    _print("event: record() to its row", event_walk, is_long="--list" in arguments)
    return int(files > MAX_FILES or functions > MAX_FUNCTIONS)


def _send(live: LiveGateway, deployment: str) -> None:
    """Send an alert about a Deployment."""
    payload = alertmanager_webhook(alert("Slow", namespace="default", deployment=deployment))
    response = live.client.post("/api/v1/signals/prometheus", json=payload)
    assert response.status_code == 201, response.text


def _rows(datastorage: EmbeddedDataStorage) -> int:
    with closing(sqlite3.connect(datastorage.database)) as database:
        (count,) = database.execute("SELECT count(*) FROM audit_events").fetchone()
    return int(count)


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
