"""Adapter: the interface that parses the payload of a source into signals, and its helpers."""

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
    "ParsedPayload",
    "ParsedSignal",
    "RejectedItem",
    "excerpt",
    "json_object",
    "storable_labels",
    "storable_text",
    "unrepresentable",
]

MAX_DEPTH = 8
MAX_NAME_LENGTH = 253
MAX_SEVERITY_LENGTH = 50
_MAX_EXCERPT_LENGTH = 100
CLOCK_SKEW = timedelta(minutes=2)

ParsedSignal = Signal | InvalidSignal | RejectedSignal
"""The result of parsing one item of a payload."""


class ParsedPayload(list[ParsedSignal]):
    """The result of parsing a payload that says more than its items: a list of one result for each item.

    Attributes:
        group: The group of alerts that the source notifies about, the same each time; None if the source has none. A
            request after a failed one of the same group repeats its signals, if they have the same `notification`.
        truncated: Number of items that the source left out.
    """

    group: str | None = None
    truncated: int = 0


class InvalidPayload(GatewayError):  # noqa: N818 - a response to the sender
    """The payload as a whole is not valid for its source. The message goes to the sender."""


class InvalidItem(Exception):  # noqa: N818 - an outcome, not an error
    """One item of a payload is not a valid signal. An adapter raises and catches this error itself.

    Attributes:
        reason: Short code from a fixed list.
        message: Text for the sender.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class RejectedItem(Exception):  # noqa: N818 - an outcome, not an error
    """One item of a payload is well-formed, and the gateway cannot act on it. An adapter raises and catches it itself.

    Unlike for an invalid item, the response is a success: senders such as Alertmanager alarm about a 4xx.

    Attributes:
        reason: Short code from a fixed list.
        message: Text for the sender.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Adapter(Protocol):
    """The parser for one source of signals. The source posts to `/api/v1/signals/<name>`.

    Pass an adapter of your own to `create_gateway(..., adapters=[...])`, or name it in the configuration file of
    `signal-gateway serve`: `adapters: ["package.module:name"]`. An adapter keeps no state and does no I/O; the gateway
    calls it on its event loop. The optional attribute `body_schema`, a JSON Schema, appears in `/openapi.json`.
    """

    @property
    def name(self) -> str:
        """Short unique name: the last part of the path, the source of the signals, and a metric label."""
        ...

    @property
    def signal_type(self) -> str:
        """`signalType` of the RemediationRequests that these signals create."""
        ...

    def parse(self, body: bytes, *, received_at: datetime) -> Sequence[ParsedSignal]:
        """Parse the body of one request.

        Args:
            body: The payload as received.
            received_at: Time at which the gateway received it.

        Returns:
            One result per item of the payload, in payload order. One invalid item does not affect the others. A
            `ParsedPayload` can say more about the payload.

        Raises:
            InvalidPayload: The payload as a whole cannot be parsed, or has no item.
        """
        ...


def json_object(body: bytes) -> dict[str, Any]:
    """Decode a body that must be one JSON object.

    Raises:
        InvalidPayload: The body is not JSON, or not an object.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise InvalidPayload(f"The body is not JSON: line {exc.lineno}, column {exc.colno}.") from exc
    if not isinstance(document, dict):
        raise InvalidPayload("The body is JSON, but not an object.")
    return document


def unrepresentable(value: Any, *, depth: int = 1) -> str | None:
    """Return the reason why the audit trail cannot store a decoded JSON value, or None if it can.

    Args:
        value: Any value that a JSON decoder returns.
        depth: The nesting level of `value`, counted from 1.
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


def storable_text(text: str | None, max_length: int) -> str | None:
    """Return a text that the audit trail can store, cut to a length; None for an empty text."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")[:max_length] if text else None


def storable_labels(labels: object) -> dict[str, str]:
    """Return the labels that the audit trail can store: those with strings as values, without NUL characters."""
    if not isinstance(labels, dict):
        return {}
    return {
        key.replace("\0", "\N{REPLACEMENT CHARACTER}"): value.replace("\0", "\N{REPLACEMENT CHARACTER}")
        for key, value in labels.items()
        if isinstance(value, str)
    }


def excerpt(value: object) -> str:
    """Return the beginning of a value, for a message to the sender."""
    match value:
        case None:
            return "missing"
        case dict() | list():
            return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
        case str():
            return repr(value[:_MAX_EXCERPT_LENGTH])[:_MAX_EXCERPT_LENGTH]
        case _:
            return repr(value)[:_MAX_EXCERPT_LENGTH]
