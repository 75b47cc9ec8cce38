"""Take alerts in, make one RemediationRequest per problem, and lose no audit event on the way.

Importing this package imports nothing else: each public name is loaded when it is first used (PEP 562).
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from signal_gateway.gateway.config import GatewayConfig
    from signal_gateway.gateway.factory import Gateway, create_gateway

__all__ = ["Gateway", "GatewayConfig", "create_gateway"]
__version__ = "0.1.0"

_HOMES = {
    "Gateway": "signal_gateway.gateway.factory",
    "GatewayConfig": "signal_gateway.gateway.config",
    "create_gateway": "signal_gateway.gateway.factory",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
