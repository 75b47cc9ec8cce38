"""GatewayConfig: the settings of one gateway, immutable."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Unpack

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from signal_gateway.errors import ConfigurationError
from signal_gateway.gateway.setting_errors import setting_errors

if TYPE_CHECKING:
    from signal_gateway.gateway.overrides import GatewayOverrides, ProcessingOverrides

__all__ = [
    "DEFAULT_NAMESPACE",
    "BreakerConfig",
    "ExporterConfig",
    "GatewayConfig",
    "NamespaceName",
    "ProcessingConfig",
    "RetryConfig",
    "ScopeConfig",
    "TargetsConfig",
    "merged",
]

DEFAULT_NAMESPACE = "kubernaut-system"
NamespaceName = Annotated[
    str, StringConstraints(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
]


class RetryConfig(BaseModel):
    """Retries of failed writes to the Kubernetes API."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_attempts: int = Field(default=3, ge=1, le=100, description="Attempts for one write, including the first.")
    initial_backoff: float = Field(
        default=0.1,
        ge=0,
        le=60,
        allow_inf_nan=False,
        description="Pause before the second attempt, in seconds. Each further pause is twice as long.",
    )
    max_backoff: float = Field(
        default=5.0,
        ge=0,
        le=600,
        allow_inf_nan=False,
        description="Longest pause between two attempts, in seconds. If the API server requests a longer one, that one"
        " applies.",
    )

    @model_validator(mode="after")
    def _backoff_grows(self) -> "RetryConfig":
        if self.max_backoff < self.initial_backoff:
            raise ValueError(
                f"max_backoff ({self.max_backoff}) must not be less than initial_backoff ({self.initial_backoff})"
            )
        return self


class BreakerConfig(BaseModel):
    """The circuit breaker around the Kubernetes API."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    failure_ratio: float = Field(
        default=0.5,
        gt=0,
        le=1,
        allow_inf_nan=False,
        description="Share of the calls in the window that must fail before the circuit opens. Only transient failures"
        " count.",
    )
    minimum_calls: int = Field(
        default=10, ge=1, description="Number of calls in the window below which the circuit stays closed."
    )
    window: float = Field(
        default=10.0, gt=0, le=3600, allow_inf_nan=False, description="Time for which a call counts, in seconds."
    )
    open_for: float = Field(
        default=30.0,
        gt=0,
        le=3600,
        allow_inf_nan=False,
        description="Time for which the open circuit stops all calls, in seconds. Probes follow.",
    )
    probes: int = Field(
        default=3,
        ge=1,
        le=100,
        description="Number of probes that must succeed before the circuit closes. One failed probe opens it again.",
    )


class ScopeConfig(BaseModel):
    """The targets that the gateway may act on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(
        default=True,
        description="Accept a target only if it, or its namespace, has the label `kubernaut.ai/managed=true`. If"
        " disabled, every target is in scope.",
    )


class ExporterConfig(BaseModel):
    """An exporter, or a controller with metrics, whose alerts are not about its own pod."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    matches: tuple[str, ...] = Field(
        min_length=1, description="Parts of its job, service, container or pod name, such as `storage-exporter`."
    )
    speaks_of: Literal["itself", "node", "others"] = Field(
        default="others",
        description="`node`: the node that its pod runs on. `others`: the objects that labels name. `itself`: its own"
        " pod, if no label of `labels` is there.",
    )
    names_pods: bool = Field(default=False, description="Whether its label `pod` may name another pod than its own.")
    labels: Mapping[str, str] = Field(
        default={}, description="Labels of its series that name objects, with the kinds, such as `{name: Certificate}`."
    )


class TargetsConfig(BaseModel):
    """Additions to the built-in knowledge of the labels that name Kubernetes objects, see docs/targets.md."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    labels: Mapping[str, str] = Field(
        default={},
        description="Labels that name an object, with its kind, such as `{app_deployment: Deployment}`. A kind may have"
        " its group, such as `Volume.longhorn.io`.",
    )
    ignored_labels: tuple[str, ...] = Field(default=(), description="Labels that never name an object or a namespace.")
    exporters: Mapping[str, ExporterConfig] = Field(
        default={}, description="Exporters by name. They are matched before the built-in ones."
    )


class ProcessingConfig(BaseModel):
    """The processing of requests and signals."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    retry: RetryConfig = RetryConfig()
    breaker: BreakerConfig = BreakerConfig()
    scope: ScopeConfig = ScopeConfig()
    targets: TargetsConfig = TargetsConfig()
    multi_cluster: bool = Field(
        default=False,
        description="Read the cluster of an alert from its label `cluster`. Enable this if alerts come from several"
        " clusters. If disabled, the label has no meaning.",
    )
    cluster_signals: Literal["reject", "notify"] = Field(
        default="reject",
        description="Handling of a firing alert about no Kubernetes object, such as KubeAPIDown. `reject` records it"
        " and responds with 200. `notify` creates a RemediationRequest for the cluster itself, with the target"
        " `Cluster/<alertname>`, unless the severity is `none`.",
    )
    cache_max_age: float = Field(
        default=5.0,
        ge=0,
        le=5,
        allow_inf_nan=False,
        description="Time for which labels and owners of Kubernetes objects are cached, in seconds. An opt-out takes"
        " effect after this time at the latest; 0 disables the cache.",
    )
    event_max_age: float = Field(
        default=300.0,
        gt=0,
        le=86400,
        allow_inf_nan=False,
        description="Age above which a Kubernetes Event is rejected, in seconds.",
    )
    request_deadline: float = Field(
        default=15.0,
        gt=0,
        le=3600,
        allow_inf_nan=False,
        description="Time after which a request gets the status 504, in seconds.",
    )
    max_concurrent_requests: int = Field(
        default=100,
        ge=1,
        description="Number of requests with signals that may be in flight at once. Further requests get the status"
        " 503.",
    )
    max_body_bytes: int = Field(
        default=4 * 1024 * 1024, ge=1, description="Largest request body that is accepted, in bytes."
    )

    if TYPE_CHECKING:  # the plain signature has no dicts for the nested models

        def __init__(self, **settings: Unpack[ProcessingOverrides]) -> None: ...


class GatewayConfig(BaseModel):
    """The settings of one gateway. A gateway never reads environment variables.

    Raises:
        pydantic.ValidationError: Some keys are unknown or some values are not allowed; the error names all of them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    controller_namespace: NamespaceName = Field(
        default=DEFAULT_NAMESPACE, description="Namespace of the RemediationRequests, a DNS label."
    )
    processing: ProcessingConfig = ProcessingConfig()

    if TYPE_CHECKING:

        def __init__(self, **settings: Unpack[GatewayOverrides]) -> None: ...


def merged(config: GatewayConfig, overrides: Mapping[str, Any]) -> GatewayConfig:
    """Return a configuration with some settings replaced, validated as a whole.

    Args:
        config: The configuration that provides all other settings.
        overrides: Nested mappings, such as `{"processing": {"retry": {"max_attempts": 1}}}`.

    Raises:
        ConfigurationError: Some keys are unknown or some values are not allowed; the message lists all of them.
    """
    try:
        return GatewayConfig.model_validate(_deep_merge(config.model_dump(), overrides))
    except ValidationError as exc:
        lines = [f"  {error.key} = {error.value!r}: {error.reason}" for error in setting_errors(exc, GatewayConfig)]
        raise ConfigurationError("the settings of the gateway are not valid:\n" + "\n".join(lines)) from exc


def _deep_merge(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in overrides.items():
        below = result.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            result[key] = _deep_merge(below, value)
        else:
            result[key] = value
    return result
