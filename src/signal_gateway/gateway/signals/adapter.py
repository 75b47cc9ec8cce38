"""How a source's payload becomes signals."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

import orjson

from signal_gateway.errors import GatewayError
from signal_gateway.gateway.signals.signal import InvalidSignal, Signal

__all__ = ["MAX_DEPTH", "Adapter", "InvalidPayload", "json_object", "unrepresentable"]

MAX_DEPTH = 8


class InvalidPayload(GatewayError):  # noqa: N818 - an answer to the sender
    """The payload as a whole is not what the source sends; the message is for the sender."""


class Adapter(Protocol):
    """One source of signals."""

    @property
    def name(self) -> str:
        """Short and unique: the end of its path, the source of its signals, and a metric's label."""
        ...

    @property
    def signal_type(self) -> str:
        """`signalType` of the RemediationRequests that its signals lead to."""
        ...

    def parse(self, body: bytes, *, received_at: datetime) -> Sequence[Signal | InvalidSignal]:
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
