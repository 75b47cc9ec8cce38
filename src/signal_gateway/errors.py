"""SignalGatewayError: the root of all errors of this package, and the root of each part of it."""

from typing import ClassVar

__all__ = [
    "ApiServerError",
    "AuditError",
    "ConfigurationError",
    "DataStorageError",
    "GatewayError",
    "HarnessError",
    "KubernetesError",
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


class KubernetesError(SignalGatewayError):
    """A call to the Kubernetes API failed; the subclasses are in `signal_gateway.kubernetes.errors`.

    Attributes:
        verb: Verb of the call, such as `create`; empty if there was no call.
        resource: Resource of the call, such as `remediationrequests/status`.
        status: The HTTP status, or the code of a watch event; None without a valid response.
        reason: Reason of the API's Status object, such as `AlreadyExists`; None if the response has none.
        retry_after: Pause that the API server requests, in seconds; None if it requests none.
        is_transient: Whether the same call may succeed later without any change.
    """

    is_transient: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        verb: str = "",
        resource: str = "",
        status: int | None = None,
        reason: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.verb = verb
        self.resource = resource
        self.status = status
        self.reason = reason
        self.retry_after = retry_after


class ApiServerError(SignalGatewayError):
    """The embedded Kubernetes API server was used incorrectly."""


class HarnessError(SignalGatewayError):
    """The test harness was used incorrectly, or a server under test failed to start or stop."""
