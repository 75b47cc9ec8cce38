"""ApiTransport: the interface of what carries requests to an API server, with its responses."""

import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Final, Protocol, Self

from signal_gateway.kubernetes.errors import HttpFailure

__all__ = ["ApiTransport", "HttpReply", "HttpStream"]

_GZIP_WINDOW: Final = 31  # as zlib counts it: 16 more for a gzip header


@dataclass(frozen=True, slots=True)
class HttpReply:
    """A complete response.

    Attributes:
        status: HTTP status.
        headers: The header fields as received; of a repeated one the last.
        body: The content.
    """

    status: int
    headers: Mapping[bytes, bytes]
    body: bytes

    def decompressed(self) -> Self:
        """Return the response with its gzip body decompressed.

        Raises:
            HttpFailure: The body is not valid gzip.
        """
        try:
            return replace(self, body=zlib.decompress(self.body, _GZIP_WINDOW))
        except zlib.error as exc:
            raise HttpFailure("DecodingError", str(exc)) from exc


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
