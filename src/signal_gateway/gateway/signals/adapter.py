"""Adapter: the interface that parses the payload of a source into signals, and the results of parsing."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from signal_gateway.gateway.signals.signal import InvalidSignal, RejectedSignal, Signal

__all__ = [
    "CLOCK_SKEW",
    "MAX_NAME_LENGTH",
    "MAX_SEVERITY_LENGTH",
    "Adapter",
    "InvalidItem",
    "ParsedPayload",
    "ParsedSignal",
    "RejectedItem",
]

MAX_NAME_LENGTH = 253
MAX_SEVERITY_LENGTH = 50
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
    calls it on its event loop. The optional attribute `body_schema`, a JSON Schema, appears in `/openapi.json`. With
    the optional attribute `takes_untyped_bodies = True`, a request needs no `Content-Type`.
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
