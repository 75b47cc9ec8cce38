"""Events in, batches out, nothing lost. Knows nothing of gateways.

Importing this package imports nothing else: each public name is loaded when it is first used (PEP 562).
"""

from typing import TYPE_CHECKING

from signal_gateway._lazy import lazy_names

if TYPE_CHECKING:
    from signal_gateway.audit.client.client import DataStorageClient
    from signal_gateway.audit.client.query import Limits
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
    from signal_gateway.audit.store import AuditStats, AuditStore, BufferedAuditStore, FlushResult
    from signal_gateway.audit.trail import AuditTrail, StoredEvent
    from signal_gateway.audit.wal.recovery import RecoveryCounts
    from signal_gateway.audit.wal.rejected import RejectedEvent

__all__ = [
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
        "RecoveryCounts": "wal.recovery",
        "AuditEvent": "event",
        "AuditStats": "store",
        "AuditStore": "store",
        "AuditStoreClosed": "errors",
        "AuditStoreConfig": "config",
        "AuditStoreFull": "errors",
        "AuditTrail": "trail",
        "AuditTrailMismatch": "errors",
        "BufferedAuditStore": "store",
        "DataStorageClient": "client.client",
        "DataStorageUnavailable": "errors",
        "FlushResult": "store",
        "InvalidAuditEvent": "errors",
        "Limits": "client.query",
        "RecursiveAuditEvent": "errors",
        "RejectedEvent": "wal.rejected",
        "StoredEvent": "trail",
        "TokenRefused": "errors",
    },
)
