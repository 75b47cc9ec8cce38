"""Take alerts in, make one RemediationRequest per problem, and lose no audit event on the way.

Importing this package imports nothing else: each public name is loaded when it is first used (PEP 562).
"""

from typing import TYPE_CHECKING

from signal_gateway._lazy import lazy_names

if TYPE_CHECKING:
    from signal_gateway._version import __version__
    from signal_gateway.gateway.config import GatewayConfig
    from signal_gateway.gateway.factory import Gateway, create_gateway

__all__ = ["Gateway", "GatewayConfig", "__version__", "create_gateway"]

__getattr__, __dir__ = lazy_names(
    globals(),
    {
        "Gateway": "gateway.factory",
        "GatewayConfig": "gateway.config",
        "__version__": "_version",
        "create_gateway": "gateway.factory",
    },
)
