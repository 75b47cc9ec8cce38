"""Accept alerts, create one RemediationRequest per problem, and deliver every audit event.

Rooms, each imports only those below it:

- `pytest_plugin`: fixtures and hooks. `cli`, `commands`, `demo`: the command line.
- `testing`: the harness, real servers on loopback for tests.
- `gateway`: the stateless service. `datastorage`: the audit service. `apiserver`: the embedded Kubernetes API.
- `kubernetes`: typed access to a cluster. `audit`: the store and its client. `web`: parts of every HTTP service.
- `concurrency`, `clock`, `errors`: background tasks, cached reads, time and errors for every room.

The import of this package loads nothing else: each public name loads on first use (PEP 562).
"""

from typing import TYPE_CHECKING

from signal_gateway._lazy import lazy_names

if TYPE_CHECKING:
    from signal_gateway._version import __version__
    from signal_gateway.gateway.config import GatewayConfig
    from signal_gateway.gateway.factory import Gateway, create_gateway
    from signal_gateway.gateway.overrides import GatewayOverrides

__all__ = ["Gateway", "GatewayConfig", "GatewayOverrides", "__version__", "create_gateway"]

__getattr__, __dir__ = lazy_names(
    globals(),
    {
        "Gateway": "gateway.factory",
        "GatewayConfig": "gateway.config",
        "GatewayOverrides": "gateway.overrides",
        "__version__": "_version",
        "create_gateway": "gateway.factory",
    },
)
