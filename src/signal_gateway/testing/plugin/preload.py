"""Preparation for tests that patch: imports what the fixtures, servers and reports need, and reads its files."""

import contextlib
import importlib
from typing import Final

__all__ = ["preload"]

_MODULES: Final = (
    "signal_gateway.testing.cluster.existing",
    "signal_gateway.testing.datastorage.embedded",
    "signal_gateway.testing.plugin.delivery",
    "signal_gateway.testing.plugin.live_servers",
    "signal_gateway.testing.plugin.outage",
)
# libraries import these at the first use of a feature; not every version of them has all
_LATE_MODULES: Final = (
    "anyio._backends._asyncio",
    "httpcore",
    "httpcore2",
    "importlib.readers",
    "importlib.resources._adapters",
    "truststore",
    "uvicorn.lifespan.on",
    "uvicorn.protocols.websockets.auto",
)


def preload() -> None:
    """Import the modules and read the manifest of every embedded cluster. A second call does nothing."""
    for name in _MODULES:
        importlib.import_module(name)
    for name in _LATE_MODULES:
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(name)

    from signal_gateway.kubernetes import crd_manifest

    crd_manifest()  # cached: a fake file system lacks the file
