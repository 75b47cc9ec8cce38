"""Accept alerts, create one RemediationRequest per problem, and deliver every audit event.

The import of this package loads nothing else: each public name loads on first use (PEP 562).
"""

from typing import TYPE_CHECKING

from signal_gateway._lazy import lazy_names

if TYPE_CHECKING:
    from signal_gateway.gateway.config import GatewayConfig
    from signal_gateway.gateway.factory import Gateway, create_gateway

__all__ = ["Gateway", "GatewayConfig", "create_gateway"]
__version__ = "0.1.0"

__getattr__, __dir__ = lazy_names(
    globals(),
    {
        "Gateway": "gateway.factory",
        "GatewayConfig": "gateway.config",
        "create_gateway": "gateway.factory",
    },
)
