"""RawApi: a server that answers HTTP requests with the bytes that a test gives, over TLS or without."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field


@dataclass
class RawRequest:
    """One request.

    Attributes:
        line: Method, target and version.
        headers: By name in lower case.
        body: The content.
        connection: Number of the connection, from 0.
        certificate: Of the client; None without one.
    """

    line: str
    headers: dict[str, str]
    body: bytes
    connection: int
    certificate: dict | None


def response(body=b"{}", *, status="200 OK", **headers):
    fields = {"Content-Length": str(len(body)), **{name.replace("_", "-"): value for name, value in headers.items()}}
    return (
        f"HTTP/1.1 {status}\r\n".encode()
        + b"".join(f"{name}: {value}\r\n".encode() for name, value in fields.items() if value is not None)
        + b"\r\n"
        + body
    )


@dataclass
class RawApi:
    """A server on loopback; use it as an asynchronous context manager.

    Attributes:
        answer: Gets a request and a writer.
        requests: Every request.
        tls: Context of the server.
    """

    answer: Callable[[RawRequest, asyncio.StreamWriter], Awaitable[None]]
    tls: object = None
    requests: list[RawRequest] = field(default_factory=list)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    @property
    def url(self):
        scheme = "http" if self.tls is None else "https"
        return f"{scheme}://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self):
        self._tasks = []
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls, limit=2**24)
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for writer in self.writers:
            writer.transport.abort()
        await asyncio.gather(*self._tasks)

    async def _serve(self, reader, writer):
        self._tasks.append(asyncio.current_task())
        number = len(self.writers)
        self.writers.append(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                line, *fields = head.decode().rstrip().split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (it.partition(":") for it in fields)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                request = RawRequest(line, headers, body, number, writer.get_extra_info("peercert"))
                self.requests.append(request)
                await self.answer(request, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
