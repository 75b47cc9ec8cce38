"""Signals: the adapters that parse them, their targets and fingerprints.

`body_schemas`, `alertmanager`, `kubernetes_event` (parse the payload of one source, by the interface in `adapter`),
`candidates` (the objects that labels may name, by the `label_table` of `knowledge` and `exporters`, and `addresses`),
`signal` (a signal with its target and fingerprint), `registry` (all adapters of a gateway).
Import the names for an adapter of your own from this package.
"""

from signal_gateway.clock import parse_rfc3339
from signal_gateway.gateway.signals.adapter import (
    CLOCK_SKEW,
    MAX_NAME_LENGTH,
    MAX_SEVERITY_LENGTH,
    Adapter,
    InvalidItem,
    ParsedPayload,
    ParsedSignal,
    RejectedItem,
)
from signal_gateway.gateway.signals.signal import (
    InvalidPayload,
    InvalidSignal,
    RejectedSignal,
    Signal,
    Target,
    json_object,
    unrepresentable,
)

__all__ = [
    "CLOCK_SKEW",
    "MAX_NAME_LENGTH",
    "MAX_SEVERITY_LENGTH",
    "Adapter",
    "InvalidItem",
    "InvalidPayload",
    "InvalidSignal",
    "ParsedPayload",
    "ParsedSignal",
    "RejectedItem",
    "RejectedSignal",
    "Signal",
    "Target",
    "json_object",
    "parse_rfc3339",
    "unrepresentable",
]
