"""ApiTransport: the interface of what carries requests to an API server, with its responses."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

__all__ = ["ApiTransport", "HttpReply", "HttpStream"]


@dataclass(frozen=True, slots=True)
class HttpReply:
    """A complete response.

    Attributes:
        status: HTTP status.
        headers: The header fields as received; of a repeated one the last.
        body: The content, not compressed.
    """

    status: int
    headers: Mapping[bytes, bytes]
    body: bytes


class HttpStream(Protocol):
    """A response whose body is read as it arrives."""

    @property
    def status(self) -> int:
        """HTTP status."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the parts of the body.

        Raises:
            HttpFailure: The body is not complete.
        """
        ...

    async def reply(self) -> HttpReply:
        """Read the rest of the body.

        Raises:
            HttpFailure: The body is not complete.
        """
        ...


class ApiTransport(Protocol):
    """Carries requests to one API server.

    `target` is the path and query after the server's URL, with a leading slash and percent-encoded.
    """

    async def send(self, method: str, target: str, headers: Mapping[str, str], body: bytes = b"") -> HttpReply:
        """Send a request and return its complete response.

        Raises:
            HttpFailure: There is no complete response.
        """
        ...

    def stream(self, method: str, target: str, headers: Mapping[str, str]) -> AbstractAsyncContextManager[HttpStream]:
        """Send a request and use its response as it arrives; the end of the block closes an incomplete one.

        Raises:
            HttpFailure: There is no response.
        """
        ...

    async def aclose(self) -> None:
        """Close every connection."""
        ...
