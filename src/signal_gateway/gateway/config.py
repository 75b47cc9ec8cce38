"""GatewayConfig: every setting of one gateway, frozen, the same everywhere."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from signal_gateway.errors import ConfigurationError

__all__ = [
    "GatewayConfig",
    "ProcessingConfig",
    "RetryConfig",
    "ScopeConfig",
    "SettingError",
    "allowed_keys",
    "merged",
    "setting_errors",
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


class ScopeConfig(BaseModel):
    """Which targets the gateway acts on.

    Attributes:
        enabled: Whether a target must be labelled as managed. Only False yet: every target is in scope.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: Literal[False] = False

    @field_validator("enabled", mode="before")
    @classmethod
    def _checking_is_not_built(cls, enabled: object) -> object:
        if enabled is True or (isinstance(enabled, str) and enabled.lower() in {"true", "1", "yes", "on"}):
            raise ValueError("scope checking is not built yet: leave it false, and every target is in scope")
        return False if isinstance(enabled, str) and enabled.lower() in {"false", "0", "no", "off"} else enabled


class ProcessingConfig(BaseModel):
    """How requests and signals are handled.

    Attributes:
        retry: Retries of writes to the Kubernetes API.
        scope: Which targets are acted on.
        request_deadline: Seconds after which a request is answered 504.
        max_concurrent_requests: Requests with signals in flight at once; more are answered 503.
        max_body_bytes: The largest body that is read.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    retry: RetryConfig = RetryConfig()
    scope: ScopeConfig = ScopeConfig()
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

    controller_namespace: Annotated[
        str, StringConstraints(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    ] = "kubernaut-system"
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


class SettingError(NamedTuple):
    """One thing that is wrong with one setting.

    Attributes:
        key: Dotted path, such as `processing.retry.max_attempts`.
        value: What was given; None where nothing was.
        reason: What is allowed.
        is_missing: Whether the setting is required and absent.
    """

    key: str
    value: object
    reason: str
    is_missing: bool


def setting_errors(error: ValidationError, model: type[BaseModel]) -> list[SettingError]:
    """Return what is wrong, setting by setting, in the words of someone who writes a configuration.

    Args:
        error: What validating `model` raised.
        model: The model, whose keys are listed where one is unknown.
    """
    found = []
    for detail in error.errors():
        path = [str(part) for part in detail["loc"]]
        kind = detail["type"]
        reason = detail["msg"].removeprefix("Value error, ")
        if kind == "extra_forbidden":
            reason = f"there is no such key; allowed here: {', '.join(allowed_keys(model, path[:-1]))}"
        elif kind in {"model_type", "model_attributes_type"}:
            reason = f"this is a section; it must hold keys out of: {', '.join(allowed_keys(model, path))}"
        is_missing = kind == "missing"
        value = None if is_missing else detail["input"]
        found.append(SettingError(".".join(path), value, "it is required" if is_missing else reason, is_missing))
    return found


def allowed_keys(model: type[BaseModel], path: list[str]) -> list[str]:
    """Return the keys of the section at a path; none if there is no such section."""
    for key in path:
        field = model.model_fields.get(key)
        section = field.annotation if field is not None else None
        if not (isinstance(section, type) and issubclass(section, BaseModel)):
            return []
        model = section
    return sorted(model.model_fields)


def _deep_merge(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in overrides.items():
        below = result.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            result[key] = _deep_merge(below, value)
        else:
            result[key] = value
    return result
