"""The audit trail: records events, delivers them to DataStorage without loss, and queries them.

`event` (wire format) → `store` (record, flush, close) → `wal/` (the write-ahead log) → `delivery/` (the background
thread) → `client/` (DataStorage over HTTP) → `trail` (queries for tests and people) → `timeline` (a table of events).
Beside them: `config`, `stats`, `errors`, `checksum`, `lifetime` (exit and fork), `metrics`, `guarded_log` (the
log of the background thread), `recorded_ids` (the events of one server), `redeliver` (delivery of a spool
directory by hand), and `presentation/` (stored events for people).

Importing this package imports nothing else: each public name is loaded when it is first used (PEP 562).
"""

from typing import TYPE_CHECKING

from signal_gateway._lazy import lazy_names

if TYPE_CHECKING:
    from signal_gateway.audit.client.cases import AuditCase
    from signal_gateway.audit.client.client import DataStorageClient
    from signal_gateway.audit.client.query import Limits
    from signal_gateway.audit.client.translation import KUBERNAUT_EVENT_TYPES
    from signal_gateway.audit.config import AuditStoreConfig
    from signal_gateway.audit.errors import (
        AuditStoreClosed,
        AuditStoreFull,
        AuditTrailMismatch,
        DataStorageUnavailable,
        InvalidAuditEvent,
        RecursiveAuditEvent,
        TokenRefused,
    )
    from signal_gateway.audit.event import AuditEvent
    from signal_gateway.audit.stats import AuditStats, AuditStore, FlushResult, RecoveryCounts
    from signal_gateway.audit.store import BufferedAuditStore
    from signal_gateway.audit.timeline import StoredEvent
    from signal_gateway.audit.trail import AuditTrail
    from signal_gateway.audit.wal.rejected import RejectedEvent

__all__ = [
    "KUBERNAUT_EVENT_TYPES",
    "AuditCase",
    "AuditEvent",
    "AuditStats",
    "AuditStore",
    "AuditStoreClosed",
    "AuditStoreConfig",
    "AuditStoreFull",
    "AuditTrail",
    "AuditTrailMismatch",
    "BufferedAuditStore",
    "DataStorageClient",
    "DataStorageUnavailable",
    "FlushResult",
    "InvalidAuditEvent",
    "Limits",
    "RecoveryCounts",
    "RecursiveAuditEvent",
    "RejectedEvent",
    "StoredEvent",
    "TokenRefused",
]

__getattr__, __dir__ = lazy_names(
    globals(),
    {
        "KUBERNAUT_EVENT_TYPES": "client.translation",
        "RecoveryCounts": "stats",
        "AuditCase": "client.cases",
        "AuditEvent": "event",
        "AuditStats": "stats",
        "AuditStore": "stats",
        "AuditStoreClosed": "errors",
        "AuditStoreConfig": "config",
        "AuditStoreFull": "errors",
        "AuditTrail": "trail",
        "AuditTrailMismatch": "errors",
        "BufferedAuditStore": "store",
        "DataStorageClient": "client.client",
        "DataStorageUnavailable": "errors",
        "FlushResult": "stats",
        "InvalidAuditEvent": "errors",
        "Limits": "client.query",
        "RecursiveAuditEvent": "errors",
        "RejectedEvent": "wal.rejected",
        "StoredEvent": "timeline",
        "TokenRefused": "errors",
    },
)
