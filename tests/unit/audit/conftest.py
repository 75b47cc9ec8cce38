"""A DataStorage that does as it is told, over real sockets, and stores that talk to it."""

import errno
import json
import logging
import mmap
import os
import select
import signal
import subprocess
import sys
import textwrap
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from signal_gateway.audit import AuditEvent, AuditStoreConfig, BufferedAuditStore, DataStorageClient
from signal_gateway.audit.wal.directory import SegmentDirectory
from signal_gateway.audit.wal.log import WriteAheadLog
from signal_gateway.clock import SystemClock

PATH = "/api/v1/audit/events/batch"
DEADLINE = 60.0  # seconds that no wait in these tests comes near unless something is broken


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "_Listener"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.owner._post(self, body)

    def do_GET(self) -> None:
        self.server.owner._get(self)

    def reply(self, status: int, body: bytes = b"", content_type: str = "application/json", **headers: str) -> None:
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def drop(self) -> None:
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        pass


class _Listener(ThreadingHTTPServer):
    daemon_threads = False
    owner: "FaultServer"

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that went away in the midst is what some tests are about


Answer = Callable[[_Handler, list[dict[str, Any]]], None]


class FaultServer:
    """Answers each batch as the script says, and stores it when there is no script."""

    def __init__(self) -> None:
        self.stored: dict[str, dict[str, Any]] = {}
        self.batches: list[list[str]] = []
        self.bodies: list[bytes] = []
        self.headers: list[Mapping[str, str]] = []
        self.arrivals = threading.Semaphore(0)
        self._script: deque[Answer] = deque()
        self._always: Answer = self.store
        self._lock = threading.Lock()
        self._released = threading.Event()
        self._listener: _Listener | None = None
        self._port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def received(self) -> Counter[str]:
        return Counter(event_id for batch in self.batches for event_id in batch)

    def start(self) -> None:
        self._listener = _Listener(("127.0.0.1", self._port), _Handler)
        self._listener.owner = self
        self._port = self._listener.server_port
        self._thread = threading.Thread(target=self._listener.serve_forever, kwargs={"poll_interval": 0.005})
        self._thread.start()

    def stop(self) -> None:
        """Close the listening socket; clients must have closed their connections."""
        if self._listener is not None:
            self._released.set()
            self._listener.shutdown()
            self._listener.server_close()
            self._thread.join()
            self._listener = None

    def release(self) -> None:
        """End every hang."""
        self._released.set()

    def script(self, *answers: Answer) -> None:
        self._script.extend(answers)

    def script_is_over(self) -> None:
        self._script.clear()

    def always(self, answer: Answer) -> None:
        self._always = answer

    def wait_for_batch(self) -> None:
        assert self.arrivals.acquire(timeout=DEADLINE), "no batch arrived"

    def store(self, handler: _Handler, events: list[dict[str, Any]]) -> None:
        self.keep(events)
        self.reply_201(handler, [event["event_id"] for event in events])

    def keep(self, events: list[dict[str, Any]]) -> None:
        with self._lock:
            for event in events:
                self.stored.setdefault(event["event_id"], event)

    def reply_201(self, handler: _Handler, event_ids: list[str]) -> None:
        handler.reply(201, json.dumps({"event_ids": event_ids, "message": "stored"}).encode())

    def status(self, status: int, body: bytes = b"", content_type: str = "text/html", **headers: str) -> Answer:
        return lambda handler, _: handler.reply(status, body, content_type, **headers)

    def problem(self, status: int, **members: Any) -> Answer:
        document = {
            "type": "about:blank",
            "title": "no",
            "status": status,
            "detail": "scripted",
            "instance": PATH,
            **members,
        }
        return self.status(status, json.dumps(document).encode(), "application/problem+json")

    def refusing(self, is_bad: Callable[[dict[str, Any]], bool], *, named: bool, status: int = 400) -> Answer:
        """All or nothing: a batch with a bad event is refused, with or without naming it."""

        def answer(handler: _Handler, events: list[dict[str, Any]]) -> None:
            bad = [index for index, event in enumerate(events) if is_bad(event)]
            if not bad:
                self.store(handler, events)
            elif named:
                errors = [{"index": index, "field": "severity", "reason": "is bad"} for index in bad]
                self.problem(status, errors=errors)(handler, events)
            else:
                self.problem(status)(handler, events)

        return answer

    def taking_at_most(self, most: int, otherwise: Answer) -> Answer:
        return lambda handler, events: (self.store if len(events) <= most else otherwise)(handler, events)

    def commit_then_drop(self, handler: _Handler, events: list[dict[str, Any]]) -> None:
        self.keep(events)
        handler.drop()

    def half_a_body(self, handler: _Handler, events: list[dict[str, Any]]) -> None:
        self.keep(events)
        handler.send_response(201)
        handler.send_header("content-length", "1000")
        handler.end_headers()
        handler.wfile.write(b'{"event_ids": [')
        handler.drop()

    def hang(self, handler: _Handler, _: list[dict[str, Any]]) -> None:
        self._released.wait(DEADLINE)
        handler.drop()

    def _post(self, handler: _Handler, body: bytes) -> None:
        events = json.loads(body)
        with self._lock:
            self.bodies.append(body)
            self.batches.append([event["event_id"] for event in events])
            self.headers.append({name.lower(): value for name, value in handler.headers.items()})
            answer = self._script.popleft() if self._script else self._always
        self.arrivals.release()
        answer(handler, events)

    def _get(self, handler: _Handler) -> None:
        query = dict(parse_qsl(urlsplit(handler.path).query))
        limit, offset = int(query.pop("limit", 50)), int(query.pop("offset", 0))
        query.pop("order", None)
        with self._lock:
            found = [e for e in self.stored.values() if all(e.get(name) == value for name, value in query.items())]
        page = found[offset : offset + limit]
        has_more = offset + limit < len(found)
        pagination = {"limit": limit, "offset": offset, "total": len(found), "has_more": has_more}
        handler.reply(200, json.dumps({"data": page, "pagination": pagination}).encode())


MakeEvent = Callable[..., AuditEvent]
MakeStore = Callable[..., BufferedAuditStore]


@pytest.fixture
def make_event() -> MakeEvent:
    """Create audit events, numbered in their `event_data`."""

    def make(number: int = 0, *, correlation_id: str = "order-1", **fields: Any) -> AuditEvent:
        fields.setdefault("event_type", "order.placed")
        return AuditEvent(
            event_category="order",
            event_action="placed",
            event_outcome="success",
            correlation_id=correlation_id,
            event_data={"event_type": fields["event_type"], "number": number},
            **fields,
        )

    return make


@pytest.fixture
def fault_server() -> Iterator[FaultServer]:
    """A DataStorage on a real socket that fails as a test scripts it."""
    server = FaultServer()
    yield server
    server.stop()


@pytest.fixture(params=["memory", "process"])
def durability(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """Let every store live in memory, and in a spool directory."""
    return {"durability": "memory"} if request.param == "memory" else {"spool_directory": tmp_path / "spool"}


@pytest.fixture
def make_store(fault_server: FaultServer, durability: dict[str, Any]) -> Iterator[MakeStore]:
    """Give stores to the fault server, with pauses of milliseconds, that are closed at the end."""
    with ExitStack() as stack:

        def make(
            *, client: DataStorageClient | None = None, request_timeout: float = 60.0, **config: Any
        ) -> BufferedAuditStore:
            settings = {**durability, "initial_backoff": 0.002, "max_backoff": 0.01, **config}
            client = client or DataStorageClient(fault_server.url, timeout=request_timeout)
            store = BufferedAuditStore(client, service="shop", config=AuditStoreConfig(**settings))
            stack.callback(store.close, 1.0)
            return store

        yield make
        fault_server.release()


@pytest.fixture
def store(make_store: MakeStore) -> BufferedAuditStore:
    """One store of `make_store` with the default settings."""
    return make_store()


@pytest.fixture
def spool_directory(tmp_path: Path) -> Path:
    """The path of a spool directory, which the first store creates."""
    return tmp_path / "spool"


@pytest.fixture(params=["mapped", "written"])
def storage(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let every spool be of mapped files, and of files that can only be written, to make and to recover."""
    if request.param == "written":
        map_anything = mmap.mmap

        def map_no_file(fd: int, *args: Any, **settings: Any) -> mmap.mmap:
            if fd >= 0:
                raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
            return map_anything(fd, *args, **settings)

        monkeypatch.setattr(mmap, "mmap", map_no_file)
    return str(request.param)


@pytest.fixture
def open_store(fault_server: FaultServer, spool_directory: Path) -> Iterator[MakeStore]:
    """Open stores on one directory, with pauses of milliseconds; they are closed at the end."""
    with ExitStack() as stack:

        def make(*, request_timeout: float = 60.0, clock: Any = None, registry: Any = None, **config: Any) -> Any:
            settings = {"spool_directory": spool_directory, "initial_backoff": 0.002, "max_backoff": 0.01, **config}
            store = BufferedAuditStore(
                DataStorageClient(fault_server.url, timeout=request_timeout),
                service="shop",
                config=AuditStoreConfig(**settings),
                clock=clock,
                registry=registry,
            )
            stack.callback(store.close, 1.0)
            return store

        yield make
        fault_server.release()


LeaveBehind = Callable[..., list[str]]


@pytest.fixture
def leave_behind(spool_directory: Path, make_event: MakeEvent) -> LeaveBehind:
    """Let a store die with events in the directory, as SIGKILL would have it; return their ids."""

    def leave(
        count: int, *, max_spool_bytes: int = 1024 * 1024, directory: Path = spool_directory, **fields: Any
    ) -> list[str]:
        spool = WriteAheadLog(
            SegmentDirectory(directory, service="shop"),
            max_bytes=max_spool_bytes,
            clock=SystemClock(),
            log=logging.getLogger("dead"),
        )
        spool.open()
        events = [make_event(number, **fields) for number in range(count)]
        for event in events:
            spool.append(event.to_wire())
        spool.abandon()  # a process that is gone has no descriptors, and nothing else has happened to its files
        return [event.event_id for event in events]

    return leave


PROLOGUE = """
import atexit, errno, gc, json, mmap, multiprocessing, os, signal, sys, threading, time, warnings
from signal_gateway.audit import (
    AuditEvent, AuditStoreClosed, AuditStoreConfig, AuditStoreFull, BufferedAuditStore, DataStorageClient)

warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of a fork beside threads: it is what we do here
url, storage, settings = json.loads(sys.argv[1])
map_anything = mmap.mmap

def map_no_file(fd, *args, **more):
    if fd >= 0:
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
    return map_anything(fd, *args, **more)

if storage == "written":
    mmap.mmap = map_no_file

def event(number=0):
    return AuditEvent(event_type="order.placed", event_category="order", event_action="placed",
                      event_outcome="success", correlation_id=f"order-{os.getpid()}",
                      event_data={"event_type": "order.placed", "number": number})

def open_store():
    return BufferedAuditStore(DataStorageClient(url, timeout=60.0), service="shop", config=AuditStoreConfig(**settings))

def record(count=1):
    ids = []
    for number in range(count):
        one = event(number)
        store.record(one)
        ids.append(one.event_id)
    return ids

def say(what):
    os.write(1, json.dumps(what).encode() + b"\\n")

def status_of(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
"""


@dataclass
class Program:
    """A process with a store, and what it says, one JSON value a line."""

    process: "subprocess.Popen[str]"

    def hear(self) -> Any:
        assert self.process.stdout is not None
        line = b""
        while not line.endswith(b"\n"):
            # by select and byte by byte: a child that is left behind keeps the pipe open
            ready, _, _ = select.select([self.process.stdout], [], [], DEADLINE)
            byte = os.read(self.process.stdout.fileno(), 1) if ready else b""
            if not byte:
                pytest.fail("it said nothing" if ready else "it said nothing in time")
            line += byte
        return json.loads(line)

    def tell(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def kill(self, signum: int = signal.SIGKILL) -> None:
        self.process.send_signal(signum)
        self.process.wait(DEADLINE)

    def end(self) -> list[Any]:
        """Return all that it still says, and insist that it ends well."""
        out, err = self.process.communicate(timeout=3 * DEADLINE)
        assert self.process.returncode == 0, err
        return [json.loads(line) for line in out.splitlines()]


StartProgram = Callable[..., Program]


@pytest.fixture
def start_program(fault_server: FaultServer, spool_directory: Path) -> Iterator[StartProgram]:
    """Start a program behind the prologue above, in a process of its own."""
    with ExitStack() as stack:

        def start(program: str, *, storage: str = "mapped", **settings: Any) -> Program:
            config = {"spool_directory": str(spool_directory), "initial_backoff": 0.002, "max_backoff": 0.01}
            arguments = json.dumps([fault_server.url, storage, {**config, **settings}])
            process = subprocess.Popen(
                [sys.executable, "-c", PROLOGUE + textwrap.dedent(program), arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return Program(process)

        yield start
        fault_server.release()
