"""SignalGatewayError: the root of all errors of this package, and the root of each part of it."""

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
    """The base class of all errors that signal-gateway raises."""


class ConfigurationError(SignalGatewayError):
    """A setting is missing or not valid. The message has the setting, its source and the allowed values."""


class AuditError(SignalGatewayError):
    """An operation of the audit store or its client failed."""


class DataStorageError(SignalGatewayError):
    """An operation of the DataStorage service failed."""


class GatewayError(SignalGatewayError):
    """An operation of the gateway failed."""


class ApiServerError(SignalGatewayError):
    """The embedded Kubernetes API server was used incorrectly."""


class HarnessError(SignalGatewayError):
    """The test harness was used incorrectly, or a server under test failed to start or stop."""
