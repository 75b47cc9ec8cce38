"""HTTP responses: documents, errors as `Status`, warnings, and the client connection."""

from collections.abc import Callable, Iterable

from starlette.types import Scope, Send

from signal_gateway.apiserver.apimachinery.objects import encode
from signal_gateway.apiserver.apimachinery.status import StatusError
from signal_gateway.web.serving.http_protocol import ABORT

__all__ = ["JSON", "PLAIN_TEXT", "ClientConnection", "send_response", "send_status", "warning_headers"]

JSON = "application/json"
PLAIN_TEXT = "text/plain; charset=utf-8"

_Headers = Iterable[tuple[bytes, bytes]]


class ClientConnection:
    """The connection of a request's client.

    Attributes:
        can_drop: Whether the HTTP server under the application can close the connection.

    Args:
        scope: ASGI scope of the request.
    """

    def __init__(self, scope: Scope) -> None:
        self._abort: Callable[[], None] | None = scope.get("extensions", {}).get(ABORT)
        self.can_drop = self._abort is not None

    def drop(self) -> None:
        """Close the connection at once, without the rest of the response. Has no effect unless `can_drop`."""
        if self._abort is not None:
            self._abort()


async def send_response(send: Send, code: int, content_type: str, body: bytes, headers: _Headers = ()) -> None:
    """Send a complete response."""
    length = str(len(body)).encode()
    start = [(b"content-type", content_type.encode()), (b"content-length", length), *headers]
    await send({"type": "http.response.start", "status": code, "headers": start})
    await send({"type": "http.response.body", "body": body})


async def send_status(send: Send, error: StatusError, warnings: Iterable[str] = ()) -> None:
    """Send an error as a `Status`, with `Warning` and `Retry-After` headers."""
    headers = warning_headers(warnings)
    if error.retry_after is not None:
        headers.append((b"retry-after", str(error.retry_after).encode()))
    await send_response(send, error.code, JSON, encode(error.to_status()), headers)


def warning_headers(texts: Iterable[str]) -> list[tuple[bytes, bytes]]:
    """Return a `Warning` header (RFC 7234, 5.5) for each text, in the form of the API server."""
    return [(b"warning", _warning(text)) for text in texts]


def _warning(text: str) -> bytes:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'299 - "{escaped}"'.encode()
