"""What events are delivered to: a sink that checks them, our DataStorage, nobody, or somebody who never answers.

    python -m tests.benchmarks.sinks

The sink is one asyncio protocol without a framework, so that it costs as little as a server that reads what it takes
can cost. `GET` says how many events it took, `DELETE` makes it forget them.
"""

import asyncio
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import orjson
from tests.benchmarks.processes import started

from signal_gateway.audit.event import REQUIRED_ON_THE_WIRE

__all__ = ["datastorage", "nobody", "silence", "validating_sink"]

MODULE = "tests.benchmarks.sinks"
REQUIRED = frozenset(REQUIRED_ON_THE_WIRE)
CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@contextmanager
def validating_sink() -> Iterator[str]:
    """Run a sink in a process of its own; yield its URL."""
    with started(MODULE) as (_, url):
        yield url.strip()


@contextmanager
def datastorage(database: Path) -> Iterator[str]:
    """Run DataStorage on an SQLite file, in a process of its own, as its users do; yield its URL."""
    command = ["signal_gateway", "datastorage", "--database", f"sqlite:///{database}", "--listen", "127.0.0.1:0"]
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


class Sink(asyncio.Protocol):
    """One connection of the sink.

    Args:
        taken: Ids of the events so far, whichever connection they came by.
    """

    def __init__(self, taken: set[str]) -> None:
        self._taken = taken
        self._received = bytearray()
        self._body_at = 0
        self._end = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        if not self._end:
            head_end = received.find(b"\r\n\r\n")
            if head_end < 0:
                return
            length = CONTENT_LENGTH.search(received, 0, head_end)
            self._body_at = head_end + 4
            self._end = self._body_at + (int(length[1]) if length else 0)
        if len(received) < self._end:
            return
        method = bytes(received.partition(b" ")[0])
        body = bytes(received[self._body_at : self._end])
        del received[:]
        self._end = 0
        self._transport.write(_response(*self._answer(method, body)))

    def _answer(self, method: bytes, body: bytes) -> tuple[int, bytes]:
        if method == b"POST":
            return self._take(body)
        if method == b"DELETE":
            self._taken.clear()
        return 200, orjson.dumps(len(self._taken))

    def _take(self, body: bytes) -> tuple[int, bytes]:
        events = orjson.loads(body)
        event_ids = []
        for index, event in enumerate(events):
            event_id = event.get("event_id")
            if not event.keys() >= REQUIRED or not isinstance(event_id, str) or event_id in self._taken:
                return 400, orjson.dumps({"errors": [{"index": index, "reason": "is incomplete or came before"}]})
            event_ids.append(event_id)
        self._taken.update(event_ids)
        return 201, orjson.dumps({"event_ids": event_ids})


def _response(status: int, body: bytes) -> bytes:
    kind = b"application/problem+json" if status == 400 else b"application/json"
    return b"HTTP/1.1 %d \r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n%b" % (status, kind, len(body), body)


async def main() -> None:
    """Serve until terminated."""
    taken: set[str] = set()
    server = await asyncio.get_running_loop().create_server(lambda: Sink(taken), "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
