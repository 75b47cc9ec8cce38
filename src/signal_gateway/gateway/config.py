"""GatewayConfig: every setting of one gateway, frozen, the same everywhere."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from signal_gateway.errors import ConfigurationError
from signal_gateway.gateway.setting_errors import setting_errors

__all__ = [
    "DEFAULT_NAMESPACE",
    "BreakerConfig",
    "GatewayConfig",
    "NamespaceName",
    "ProcessingConfig",
    "RetryConfig",
    "ScopeConfig",
    "merged",
]

DEFAULT_NAMESPACE = "kubernaut-system"
NamespaceName = Annotated[
    str, StringConstraints(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
]


class RetryConfig(BaseModel):
    """How often, and after which waits, a failed write to the Kubernetes API is tried again.

    Attributes:
        max_attempts: All attempts, the first included.
        initial_backoff: Seconds before the second attempt; each further wait is twice as long.
        max_backoff: The longest wait, in seconds, unless the API asks for a longer one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_attempts: Annotated[int, Field(ge=1, le=100)] = 3
    initial_backoff: Annotated[float, Field(ge=0, le=60, allow_inf_nan=False)] = 0.1
    max_backoff: Annotated[float, Field(ge=0, le=600, allow_inf_nan=False)] = 5.0

    @model_validator(mode="after")
    def _backoff_grows(self) -> "RetryConfig":
        if self.max_backoff < self.initial_backoff:
            raise ValueError(
                f"max_backoff ({self.max_backoff}) must not be less than initial_backoff ({self.initial_backoff})"
            )
        return self


class BreakerConfig(BaseModel):
    """When calls to the Kubernetes API are given up for a while.

    Attributes:
        failure_ratio: The share of calls that must fail for a reason that passes.
        minimum_calls: How many calls the window must have seen.
        window: How far back calls count, in seconds.
        open_for: How long no call is made then, in seconds.
        probes: How many calls must succeed afterwards before all are made again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    failure_ratio: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 0.5
    minimum_calls: Annotated[int, Field(ge=1)] = 10
    window: Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)] = 10.0
    open_for: Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)] = 30.0
    probes: Annotated[int, Field(ge=1, le=100)] = 3


class ScopeConfig(BaseModel):
    """Which targets the gateway acts on.

    Attributes:
        enabled: Whether a target, or its namespace, must have the label `kubernaut.ai/managed=true`. If not, every
            target is in scope.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = True


class ProcessingConfig(BaseModel):
    """How requests and signals are handled.

    Attributes:
        retry: Retries of writes to the Kubernetes API.
        breaker: When calls to it are given up for a while.
        scope: Which targets are acted on.
        multi_cluster: Whether alerts come from several clusters, told apart by their label `cluster`. If not, the label
            means nothing.
        cache_max_age: For how many seconds labels and owners of objects are kept; so long an opt-out may take.
        event_max_age: How many seconds ago a Kubernetes Event may have happened.
        request_deadline: Seconds after which a request is answered 504.
        max_concurrent_requests: Requests with signals in flight at once; more are answered 503.
        max_body_bytes: The largest body that is read.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    retry: RetryConfig = RetryConfig()
    breaker: BreakerConfig = BreakerConfig()
    scope: ScopeConfig = ScopeConfig()
    multi_cluster: bool = False
    cache_max_age: Annotated[float, Field(ge=0, le=5, allow_inf_nan=False)] = 5.0
    event_max_age: Annotated[float, Field(gt=0, le=86400, allow_inf_nan=False)] = 300.0
    request_deadline: Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)] = 15.0
    max_concurrent_requests: Annotated[int, Field(ge=1)] = 100
    max_body_bytes: Annotated[int, Field(ge=1)] = 4 * 1024 * 1024


class GatewayConfig(BaseModel):
    """The settings of one gateway; it never reads the environment.

    Attributes:
        controller_namespace: Where RemediationRequests live; a DNS label.
        processing: How requests and signals are handled.

    Raises:
        pydantic.ValidationError: A key is unknown or its value not allowed; all of them are named at once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    controller_namespace: NamespaceName = DEFAULT_NAMESPACE
    processing: ProcessingConfig = ProcessingConfig()


def merged(config: GatewayConfig, overrides: Mapping[str, Any]) -> GatewayConfig:
    """Put overrides over a configuration, section by section, and validate the result anew.

    Args:
        config: What holds where nothing overrides it.
        overrides: Nested mappings, such as `{"processing": {"retry": {"max_attempts": 1}}}`.

    Raises:
        ConfigurationError: A key is unknown or its value not allowed; the message lists all of them.
    """
    try:
        return GatewayConfig.model_validate(_deep_merge(config.model_dump(), overrides))
    except ValidationError as exc:
        lines = [f"  {error.key} = {error.value!r}: {error.reason}" for error in setting_errors(exc, GatewayConfig)]
        raise ConfigurationError("the gateway's settings are wrong:\n" + "\n".join(lines)) from exc


def _deep_merge(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in overrides.items():
        below = result.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            result[key] = _deep_merge(below, value)
        else:
            result[key] = value
    return result
