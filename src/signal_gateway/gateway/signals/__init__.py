"""What came in: one adapter per source, the target, the fingerprint.

What an adapter of your own needs can be imported from here.
"""

from signal_gateway.gateway.signals.adapter import (
    CLOCK_SKEW,
    MAX_NAME_LENGTH,
    MAX_SEVERITY_LENGTH,
    Adapter,
    InvalidItem,
    InvalidPayload,
    ParsedSignal,
    json_object,
    unrepresentable,
)
from signal_gateway.gateway.signals.signal import InvalidSignal, RejectedSignal, Signal
from signal_gateway.gateway.signals.target import Target
from signal_gateway.gateway.timestamps import parse_rfc3339

__all__ = [
    "CLOCK_SKEW",
    "MAX_NAME_LENGTH",
    "MAX_SEVERITY_LENGTH",
    "Adapter",
    "InvalidItem",
    "InvalidPayload",
    "InvalidSignal",
    "ParsedSignal",
    "RejectedSignal",
    "Signal",
    "Target",
    "json_object",
    "parse_rfc3339",
    "unrepresentable",
]
