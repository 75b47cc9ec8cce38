"""Read the body of a request that must be JSON."""

from collections.abc import Callable
from typing import Final

from starlette.requests import ClientDisconnect, Request

from signal_gateway.web.problem import Problem

__all__ = ["JSON", "json_body"]

JSON = "application/json"

_LONGEST_SHOWN: Final = 100


async def json_body(request: Request, *, on_part: Callable[[int], None] = lambda _: None) -> bytes:
    """Return the whole body, not decoded.

    Args:
        request: The request; nothing of the body stays with it.
        on_part: Told how many bytes came, before they are kept; what it raises ends the reading.

    Raises:
        Problem: 415, the content type is not JSON; 400, the sender left before the body was complete.
    """
    content_type = request.headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() != JSON:
        raise Problem(415, f"The content type is {content_type[:_LONGEST_SHOWN] or 'missing'}; send {JSON}.")
    body = bytearray()
    try:
        async for part in request.stream():
            on_part(len(part))
            body += part
    except ClientDisconnect as exc:
        raise Problem(400, "The connection ended before the body did.") from exc
    return bytes(body)
