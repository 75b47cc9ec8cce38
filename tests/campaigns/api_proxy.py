"""ApiProxy: stands between a gateway and its Kubernetes API, and does what networks and API servers do to requests."""

import asyncio
import json
import random
import ssl
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import h11

__all__ = ["ApiProxy", "Upstream", "serving"]

_CHUNK_BYTES = 65536
_DEADLINE = 30.0
_HARMED = "/remediationrequests"
_HARMS = ("409", "503", "dropped before", "dropped after")
_REASONS = {"POST": "AlreadyExists", "PATCH": "Conflict"}


@dataclass(frozen=True)
class Upstream:
    """The API server behind the proxies.

    Attributes:
        url: With scheme and port.
        token: Bearer token to send; empty for none.
    """

    url: str
    token: str = ""

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        parts = urlsplit(self.url)
        context = None
        if parts.scheme == "https":
            context = ssl._create_unverified_context()
        return await asyncio.open_connection(parts.hostname, parts.port, ssl=context)


class ApiProxy:
    """Passes requests on, one connection behind for each in front. It is told what to do from any thread.

    Reads, creates and patches of RemediationRequests are harmed as often as it is told: conflicts that are none,
    refusals, and connections that end before the request is carried out or instead of its answer.

    Args:
        upstream: Where requests go.
        probability: That a request is harmed, while it is told to.
        seed: Of that chance.

    Attributes:
        url: Where it listens.
        harmed: How many requests, by what was done to them.
        does_harm: Whether it does at present.
    """

    def __init__(self, upstream: Upstream, *, probability: float, seed: int) -> None:
        self.url = ""
        self.harmed: Counter[str] = Counter()
        self.does_harm = False
        self._upstream = upstream
        self._probability = probability
        self._random = random.Random(seed)
        self._is_parted = False
        self._links: set[asyncio.StreamWriter] = set()  # both ends of each
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def serve(self, *, until: asyncio.Event, started: asyncio.Event) -> None:
        """Serve on the running loop."""
        self._loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        started.set()
        await until.wait()
        server.close()
        self._cut()
        await asyncio.gather(*self._tasks)

    def part(self) -> None:
        """Cut every connection, watches too, and each that comes until `join`."""
        assert self._loop is not None
        self._is_parted = True
        self._loop.call_soon_threadsafe(self._cut)

    def join(self) -> None:
        self._is_parted = False

    def _cut(self) -> None:
        self.harmed["cut by a partition"] += len(self._tasks)
        for writer in list(self._links):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_parted:
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._links.add(writer)
        links = [writer]
        try:
            back_reader, back_writer = await self._upstream.connect()
            links.append(back_writer)
            self._links.add(back_writer)
            front = _Side(reader, writer, h11.Connection(h11.SERVER))
            back = _Side(back_reader, back_writer, h11.Connection(h11.CLIENT))
            while await self._pass_one(front, back):
                pass
        except (OSError, h11.RemoteProtocolError):  # either end hung up, or the partition cut them
            pass
        finally:
            for link in links:
                self._links.discard(link)
                link.transport.abort()
            self._tasks.discard(task)

    async def _pass_one(self, front: "_Side", back: "_Side") -> bool:
        """Pass one request and its answer; say whether another may follow on these connections."""
        request = await front.event()
        if not isinstance(request, h11.Request):
            return False
        body = await front.body()
        harm = self._choose(request)
        if harm == "dropped before":
            return False
        if harm in ("409", "503"):
            await front.send(*_refusal(int(harm), request.method.decode()))
            front.connection.start_next_cycle()
            return True

        await back.send(self._for_upstream(request), h11.Data(body), h11.EndOfMessage())
        answer = await back.event()
        assert isinstance(answer, h11.Response), answer
        if harm == "dropped after":
            await back.body()
            return False
        await front.send(h11.Response(status_code=answer.status_code, headers=answer.headers))
        while isinstance(data := await back.event(), h11.Data):
            await front.send(h11.Data(bytes(data.data)))
        await front.send(h11.EndOfMessage())
        if front.connection.our_state is not h11.DONE or back.connection.their_state is not h11.DONE:
            return False
        front.connection.start_next_cycle()
        back.connection.start_next_cycle()
        return True

    def _choose(self, request: h11.Request) -> str | None:
        target = request.target.decode()
        if not self.does_harm or _HARMED not in target or "watch=" in target:
            return None
        if self._random.random() >= self._probability:
            return None
        method = request.method.decode()
        harm = self._random.choice(_HARMS if method in _REASONS else _HARMS[1:])
        self.harmed[harm] += 1
        return harm

    def _for_upstream(self, request: h11.Request) -> h11.Request:
        headers = [(name, value) for name, value in request.headers if name not in (b"host", b"authorization")]
        headers.append((b"host", urlsplit(self._upstream.url).netloc.encode()))
        if self._upstream.token:
            headers.append((b"authorization", f"Bearer {self._upstream.token}".encode()))
        return h11.Request(method=request.method, target=request.target, headers=headers)


@contextmanager
def serving(proxies: Sequence[ApiProxy]) -> Iterator[None]:
    """Have proxies serve on a thread of their own until the end of the block."""
    have_started = threading.Event()
    ends: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        end = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for proxy in proxies:
                started = asyncio.Event()
                tasks.create_task(proxy.serve(until=end, started=started))
                await started.wait()
            ends.append((asyncio.get_running_loop(), end))
            have_started.set()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="proxies")
    thread.start()
    assert have_started.wait(_DEADLINE), "the proxies do not listen"
    try:
        yield
    finally:
        for loop, end in ends:
            loop.call_soon_threadsafe(end.set)
        thread.join(_DEADLINE)
        assert not thread.is_alive(), "the proxies did not end"


class _Side:
    """One end of a connection, as HTTP events."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: h11.Connection) -> None:
        self.connection = connection
        self._reader = reader
        self._writer = writer

    async def event(self) -> object:
        while (event := self.connection.next_event()) is h11.NEED_DATA:
            self.connection.receive_data(await self._reader.read(_CHUNK_BYTES))
        return event

    async def body(self) -> bytes:
        parts = []
        while isinstance(event := await self.event(), h11.Data):
            parts.append(bytes(event.data))
        return b"".join(parts)

    async def send(self, *events: h11.Event) -> None:
        for event in events:
            self._writer.write(self.connection.send(event) or b"")
        await self._writer.drain()


def _refusal(code: int, method: str) -> tuple[h11.Response, h11.Data, h11.EndOfMessage]:
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "reason": _REASONS[method] if code == 409 else "ServiceUnavailable",
        "code": code,
    }
    body = json.dumps(status).encode()
    headers = [("content-type", "application/json"), ("content-length", str(len(body)))]
    return h11.Response(status_code=code, headers=headers), h11.Data(body), h11.EndOfMessage()
