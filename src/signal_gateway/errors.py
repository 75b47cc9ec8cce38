"""The root of every error this package raises, and the root of each room."""

__all__ = [
    "ApiServerError",
    "AuditError",
    "ConfigurationError",
    "DataStorageError",
    "GatewayError",
    "HarnessError",
    "SignalGatewayError",
]


class SignalGatewayError(Exception):
    """Anything that signal-gateway raises on purpose."""


class ConfigurationError(SignalGatewayError):
    """A setting is missing or wrong; the message names it, its source and what is allowed."""


class AuditError(SignalGatewayError):
    """The audit store or its transport could not do what was asked."""


class DataStorageError(SignalGatewayError):
    """The DataStorage service could not do what was asked."""


class GatewayError(SignalGatewayError):
    """The gateway could not do what was asked."""


class ApiServerError(SignalGatewayError):
    """The embedded Kubernetes API server was set up or used wrongly."""


class HarnessError(SignalGatewayError):
    """The test harness was used wrongly, or a server under test could not start or stop."""
