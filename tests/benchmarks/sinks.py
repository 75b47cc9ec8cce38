"""What events are delivered to: a sink that checks them, our DataStorage, nobody, or somebody who never answers.

    python -m tests.benchmarks.sinks

The sink is a loop over a blocking socket without a framework, so that it costs as little as a server that reads what it
takes can cost. `GET` says how many events it took, `DELETE` makes it forget them.
"""

import gc
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import orjson
from tests.benchmarks.processes import started

from signal_gateway.audit.event import REQUIRED_ON_THE_WIRE

__all__ = ["datastorage", "nobody", "silence", "validating_sink"]

MODULE = "tests.benchmarks.sinks"
REQUIRED = frozenset(REQUIRED_ON_THE_WIRE)
LARGEST_REQUEST = 8 * 1024 * 1024
CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@contextmanager
def validating_sink() -> Iterator[str]:
    """Run a sink in a process of its own; yield its URL."""
    with started(MODULE) as (_, url):
        yield url.strip()


@contextmanager
def datastorage(database: str) -> Iterator[str]:
    """Run DataStorage on a database URL, in a process of its own, as its users do; yield its URL."""
    command = ["signal_gateway", "datastorage", "--database", database, "--listen", "127.0.0.1:0"]
    with started(*command) as (_, line):
        yield line.removeprefix("DataStorage on ").partition(",")[0]


@contextmanager
def nobody() -> Iterator[str]:
    """Yield a URL that refuses connections: its port is taken, but nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@contextmanager
def silence() -> Iterator[str]:
    """Yield the URL of a server that takes connections and requests and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def events_taken(url: str) -> int:
    """Ask a sink how many events it took."""
    return int(httpx.get(url).json())


def forget_events(url: str) -> None:
    """Make a sink take the same events again."""
    httpx.delete(url).raise_for_status()


def serve(connection: socket.socket, taken: set[str]) -> None:
    """Answer one client until it hangs up.

    Args:
        connection: To it; it waits for each answer before it sends more.
        taken: Ids of the events so far, whichever connection they came by.
    """
    received = bytearray(LARGEST_REQUEST)
    view = memoryview(received)
    while True:
        size = 0
        while (head_end := received.find(b"\r\n\r\n", 0, size)) < 0:
            if not (count := connection.recv_into(view[size:])):
                return
            size += count
        length = CONTENT_LENGTH.search(received, 0, head_end)
        body_at = head_end + 4
        end = body_at + (int(length[1]) if length else 0)
        while size < end:
            if not (count := connection.recv_into(view[size:end])):
                return
            size += count
        method = bytes(view[: received.find(b" ")])
        connection.sendall(_response(*_answer(method, view[body_at:end], taken)))


def _answer(method: bytes, body: memoryview, taken: set[str]) -> tuple[int, bytes]:
    if method == b"POST":
        return _take(body, taken)
    if method == b"DELETE":
        taken.clear()
    return 200, orjson.dumps(len(taken))


def _take(body: memoryview, taken: set[str]) -> tuple[int, bytes]:
    event_ids = []
    for index, event in enumerate(orjson.loads(body)):
        event_id = event.get("event_id")
        if not event.keys() >= REQUIRED or not isinstance(event_id, str) or event_id in taken:
            return 400, orjson.dumps({"errors": [{"index": index, "reason": "is incomplete or came before"}]})
        event_ids.append(event_id)
    taken.update(event_ids)
    return 201, orjson.dumps({"event_ids": event_ids})


def _response(status: int, body: bytes) -> bytes:
    kind = b"application/problem+json" if status == 400 else b"application/json"
    return b"HTTP/1.1 %d \r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n%b" % (status, kind, len(body), body)


def main() -> None:
    """Serve until terminated."""
    gc.disable()  # nothing here is in a cycle
    taken: set[str] = set()
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(f"http://127.0.0.1:{server.getsockname()[1]}", flush=True)
        while True:
            connection, _ = server.accept()
            threading.Thread(target=serve, args=(connection, taken), daemon=True).start()


if __name__ == "__main__":
    main()
