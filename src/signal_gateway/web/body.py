"""The body of a request: BodyLimitMiddleware limits and decompresses it, and json_body() reads one with JSON."""

import asyncio
import zlib
from contextlib import suppress
from http import HTTPStatus
from typing import Final, Protocol

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from signal_gateway.web.problem import Problem, refusal_response

__all__ = ["JSON", "BodyLimitMiddleware", "BodyMeter", "json_body"]

JSON = "application/json"

_LONGEST_SHOWN: Final = 100


class BodyMeter(Protocol):
    """Counts the bytes of a body as they arrive."""

    def add_bytes(self, number: int, /) -> None:
        """Count one part of the body, before it is kept. An exception ends the reading."""
        ...


async def json_body(request: Request, *, meter: BodyMeter | None = None, may_be_untyped: bool = False) -> bytes:
    """Return the whole body, not decoded.

    Args:
        request: The request. It does not keep a copy of the body.
        meter: Counts the bytes as they arrive.
        may_be_untyped: Whether the content type may be missing.

    Raises:
        Problem: 415, the content type is not JSON; 400, the connection closed before the body was complete.
    """
    content_type = request.headers.get("content-type", "")
    is_untyped = may_be_untyped and not content_type
    if not is_untyped and content_type.partition(";")[0].strip().lower() != JSON:
        raise Problem(415, f"The content type is {content_type[:_LONGEST_SHOWN] or 'missing'}; send {JSON}.")
    body = bytearray()
    try:
        async for part in request.stream():
            if meter is not None:
                meter.add_bytes(len(part))
            body += part
    except ClientDisconnect as exc:
        raise Problem(400, "The connection closed before the body was complete.") from exc
    return bytes(body)


_DISCARD_SECONDS: Final = 1.0
_PIECE_BYTES: Final = 64 * 1024
_WINDOW_BITS: Final = {"gzip": 31, "x-gzip": 31, "deflate": 15}  # as zlib counts them: 16 more for a gzip header


class _Decompression:
    """Decompresses a body in pieces of at most 64 KiB, so that a small body that expands is refused at the limit.

    Args:
        encoding: The Content-Encoding of the request.

    Raises:
        Problem: 415, the encoding is not supported.
    """

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding.strip().lower()
        if self._encoding not in _WINDOW_BITS:
            raise Problem(
                415,
                f"The Content-Encoding is {encoding[:_LONGEST_SHOWN]}; send gzip, deflate, or no Content-Encoding.",
                headers={"Accept-Encoding": "gzip, deflate"},
            )
        self._decompressor = zlib.decompressobj(_WINDOW_BITS[self._encoding])
        self._compressed = b""

    @property
    def is_complete(self) -> bool:
        """Whether the data so far is a complete compressed body."""
        return self._decompressor.eof and not self._compressed

    def add(self, compressed: bytes) -> None:
        """Take a part of the compressed body."""
        self._compressed += compressed

    def piece(self) -> bytes:
        """Return the next piece; empty if it needs further compressed data.

        Raises:
            Problem: 400, the data is not compressed in this encoding.
        """
        try:
            while self._compressed:
                if self._decompressor.eof:  # RFC 1952, 2.2: a gzip file has one member or more
                    self._decompressor = zlib.decompressobj(_WINDOW_BITS[self._encoding])
                piece = self._decompressor.decompress(self._compressed, _PIECE_BYTES)
                self._compressed = self._decompressor.unconsumed_tail or self._decompressor.unused_data
                if piece:
                    return piece
        except zlib.error as exc:
            raise Problem(400, f"The body is not valid {self._encoding}, which its Content-Encoding says.") from exc
        return b""


class _LimitExceeded(Exception):  # noqa: N818 - an outcome, not an error
    """The body exceeded a limit while it was read.

    Args:
        status: HTTP status of the response.
        detail: The limit, as one sentence.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class BodyLimitMiddleware:
    """Responds with 413 as soon as a body exceeds the limit, with or without Content-Length, and with 408 if slow.

    A body with the Content-Encoding gzip or deflate is decompressed while the application reads it. The limit applies
    to the decompressed body, too.

    The 413 is sent at once, and the rest of the body is discarded for another second. If the connection closed while
    the sender still writes, the sender might not receive the response.

    With a time limit, the rest of a body that the application did not read is read and discarded before the response
    is sent. Otherwise a sender could keep the connection open by sending single bytes after an early response. And if
    the server closed that connection, the sender might not receive the response.

    Args:
        app: The application.
        max_body_bytes: The largest body, in bytes.
        max_seconds: The time limit of a body, counted from the request's headers; None for no limit.
        status_if_slow: HTTP status if the time limit is exceeded.
    """

    def __init__(
        self, app: ASGIApp, max_body_bytes: int, max_seconds: float | None = None, status_if_slow: int = 408
    ) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._max_seconds = max_seconds
        self._status_if_slow = status_if_slow

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        headers = Headers(scope=scope)
        announced = headers.get("content-length", "0")
        if announced.isdecimal() and int(announced) > self._max_body_bytes:
            await _refuse(self._too_large(), scope, receive, send)
            return

        deadline = None if self._max_seconds is None else asyncio.get_running_loop().time() + self._max_seconds
        received = 0
        is_complete = announced == "0" and "transfer-encoding" not in headers
        has_responded = False
        encoding = headers.get("content-encoding", "identity")
        decompression: _Decompression | None = None
        decompressed, has_ended = 0, False

        async def receive_bounded() -> Message:
            nonlocal received, is_complete
            if is_complete:
                return await receive()  # waits for the end of the connection
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise _LimitExceeded(
                    self._status_if_slow, f"The body took longer than {self._max_seconds:g} s."
                ) from None
            received += len(message.get("body", b""))
            if received > self._max_body_bytes:
                raise self._too_large()
            is_complete = not message.get("more_body", False)
            return message

        async def receive_decompressed() -> Message:
            nonlocal decompression, decompressed, has_ended
            if has_ended:
                return await receive()  # waits for the end of the connection
            if decompression is None:
                decompression = _Decompression(encoding)
            while True:
                piece = decompression.piece()
                decompressed += len(piece)
                if decompressed > self._max_body_bytes:
                    raise self._too_large()
                if piece:
                    return {"type": "http.request", "body": piece, "more_body": True}
                if is_complete:
                    break
                message = await receive_bounded()
                if message["type"] != "http.request":
                    return message
                decompression.add(message.get("body", b""))
            if not decompression.is_complete:
                raise Problem(400, f"The body ends before its {encoding} data does.")
            has_ended = True
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send_after_body(message: Message) -> None:
            nonlocal has_responded
            while deadline is not None and not is_complete and not has_responded:
                await receive_bounded()
            has_responded = True
            await send(message)

        try:
            is_plain = encoding.strip().lower() in ("", "identity")
            await self._app(scope, receive_bounded if is_plain else receive_decompressed, send_after_body)
        except _LimitExceeded as exc:
            if has_responded:
                raise
            await _refuse(exc, scope, receive, send)

    def _too_large(self) -> _LimitExceeded:
        return _LimitExceeded(413, f"The body is larger than {self._max_body_bytes} bytes.")


async def _refuse(limit: _LimitExceeded, scope: Scope, receive: Receive, send: Send) -> None:
    problem = Problem(limit.status, limit.detail, headers={"Connection": "close"})
    response = refusal_response(problem, scope)
    if limit.status != HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        await response(scope, receive, send)
        return

    async def send_without_end(message: Message) -> None:
        await send({**message, "more_body": True} if message["type"] == "http.response.body" else message)

    await response(scope, receive, send_without_end)
    with suppress(TimeoutError):
        async with asyncio.timeout(_DISCARD_SECONDS):
            while (await receive()).get("more_body", False):
                continue
    await send({"type": "http.response.body", "body": b""})
