"""How a source's payload becomes signals."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

import orjson

from signal_gateway.errors import GatewayError
from signal_gateway.gateway.signals.signal import InvalidSignal, RejectedSignal, Signal

__all__ = [
    "CLOCK_SKEW",
    "MAX_DEPTH",
    "MAX_NAME_LENGTH",
    "MAX_SEVERITY_LENGTH",
    "Adapter",
    "InvalidItem",
    "InvalidPayload",
    "ParsedSignal",
    "json_object",
    "printable",
    "shown",
    "unrepresentable",
]

MAX_DEPTH = 8
MAX_NAME_LENGTH = 253
MAX_SEVERITY_LENGTH = 50
_LONGEST_SHOWN = 100
CLOCK_SKEW = timedelta(minutes=2)

ParsedSignal = Signal | InvalidSignal | RejectedSignal
"""What an item of a payload turns into."""


class InvalidPayload(GatewayError):  # noqa: N818 - an answer to the sender
    """The payload as a whole is not what the source sends; the message is for the sender."""


class InvalidItem(Exception):  # noqa: N818 - an outcome, not an error
    """One item of a payload cannot become a signal; for adapters to raise and catch themselves.

    Attributes:
        reason: Short code from a fixed list.
        message: For the sender.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Adapter(Protocol):
    """One source of signals. Its requests are posted to `/api/v1/signals/<name>`.

    An adapter of your own is passed to `create_gateway(..., adapters=[...])`, or named in the configuration file of
    `signal-gateway serve`: `adapters: ["package.module:name"]`. It keeps no state, does no I/O, and is
    called on the gateway's loop. If it has a `body_schema`, a JSON Schema, `/openapi.json` shows it.
    """

    @property
    def name(self) -> str:
        """Short and unique: the end of its path, the source of its signals, and a metric's label."""
        ...

    @property
    def signal_type(self) -> str:
        """`signalType` of the RemediationRequests that its signals lead to."""
        ...

    def parse(self, body: bytes, *, received_at: datetime) -> Sequence[ParsedSignal]:
        """Read one request's body.

        Args:
            body: The payload, as it came.
            received_at: When it came.

        Returns:
            One item for each of the payload's, in its order: one bad item does not take the others with it.

        Raises:
            InvalidPayload: The payload as a whole is unreadable, or has no item.
        """
        ...


def json_object(body: bytes) -> dict[str, Any]:
    """Decode a body that must be one JSON object.

    Raises:
        InvalidPayload: It is not JSON, or not an object.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise InvalidPayload(f"The body is not JSON: line {exc.lineno}, column {exc.colno}.") from exc
    if not isinstance(document, dict):
        raise InvalidPayload("The body is JSON, but not an object.")
    return document


def unrepresentable(value: Any, *, depth: int = 1) -> str | None:
    """Say why a decoded JSON value cannot be kept in the audit trail, or None if it can.

    Args:
        value: Anything that a JSON decoder returns.
        depth: The level that `value` is on, counted from 1.
    """
    if isinstance(value, str):
        return "it contains a NUL character" if "\0" in value else None
    if not isinstance(value, (dict, list)):
        return None
    if depth > MAX_DEPTH:
        return f"it is nested deeper than {MAX_DEPTH} levels"
    children = [*value, *value.values()] if isinstance(value, dict) else value
    for child in children:
        reason = unrepresentable(child, depth=depth + 1)
        if reason is not None:
            return reason
    return None


def printable(text: str | None, max_length: int) -> str | None:
    """Return text that can be kept, cut to a length; None for none."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")[:max_length] if text else None


def shown(value: object) -> str:
    """Return a value as a message shows it to the sender: the beginning of a long one."""
    match value:
        case None:
            return "missing"
        case dict() | list():
            return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
        case str():
            return repr(value[:_LONGEST_SHOWN])[:_LONGEST_SHOWN]
        case _:
            return repr(value)[:_LONGEST_SHOWN]
