"""Events in, batches out, nothing lost. Knows nothing of gateways.

Importing this package imports nothing else: each public name is loaded when it is first used (PEP 562).
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from signal_gateway.audit.client import DataStorageClient
    from signal_gateway.audit.config import AuditStoreConfig
    from signal_gateway.audit.errors import AuditStoreClosed, AuditStoreFull, DataStorageUnavailable, InvalidAuditEvent
    from signal_gateway.audit.event import AuditEvent
    from signal_gateway.audit.store import AuditStats, AuditStore, BufferedAuditStore, FlushResult
    from signal_gateway.audit.trail import AuditTrail

__all__ = [
    "AuditEvent",
    "AuditStats",
    "AuditStore",
    "AuditStoreClosed",
    "AuditStoreConfig",
    "AuditStoreFull",
    "AuditTrail",
    "BufferedAuditStore",
    "DataStorageClient",
    "DataStorageUnavailable",
    "FlushResult",
    "InvalidAuditEvent",
]

_HOMES = {
    "AuditEvent": "event",
    "AuditStats": "store",
    "AuditStore": "store",
    "AuditStoreClosed": "errors",
    "AuditStoreConfig": "config",
    "AuditStoreFull": "errors",
    "AuditTrail": "trail",
    "BufferedAuditStore": "store",
    "DataStorageClient": "client",
    "DataStorageUnavailable": "errors",
    "FlushResult": "store",
    "InvalidAuditEvent": "errors",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
