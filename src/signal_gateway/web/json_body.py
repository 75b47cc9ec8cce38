"""Read the body of a request that must be JSON."""

from typing import Final, Protocol

from starlette.requests import ClientDisconnect, Request

from signal_gateway.web.problem import Problem

__all__ = ["JSON", "BodyMeter", "json_body"]

JSON = "application/json"

_LONGEST_SHOWN: Final = 100


class BodyMeter(Protocol):
    """Counts the bytes of a body as they arrive."""

    def add_bytes(self, number: int, /) -> None:
        """Count one part of the body, before it is kept. An exception ends the reading."""
        ...


async def json_body(request: Request, *, meter: BodyMeter | None = None) -> bytes:
    """Return the whole body, not decoded.

    Args:
        request: The request; nothing of the body stays with it.
        meter: Counts the bytes as they arrive.

    Raises:
        Problem: 415, the content type is not JSON; 400, the sender left before the body was complete.
    """
    content_type = request.headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() != JSON:
        raise Problem(415, f"The content type is {content_type[:_LONGEST_SHOWN] or 'missing'}; send {JSON}.")
    body = bytearray()
    try:
        async for part in request.stream():
            if meter is not None:
                meter.add_bytes(len(part))
            body += part
    except ClientDisconnect as exc:
        raise Problem(400, "The connection ended before the body did.") from exc
    return bytes(body)
