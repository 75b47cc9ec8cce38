"""GatewayOverrides: the settings of a gateway as nested dicts with any of the keys, for type checkers.

One TypedDict for each model of `config`, with the keys and the types of its fields. A nested model may be given as a
dict or as an instance.
"""

from typing import TypedDict

from signal_gateway.gateway.config import BreakerConfig, ProcessingConfig, RetryConfig, ScopeConfig

__all__ = ["BreakerOverrides", "GatewayOverrides", "ProcessingOverrides", "RetryOverrides", "ScopeOverrides"]


class RetryOverrides(TypedDict, total=False):
    """Any settings of `RetryConfig`."""

    max_attempts: int
    initial_backoff: float
    max_backoff: float


class BreakerOverrides(TypedDict, total=False):
    """Any settings of `BreakerConfig`."""

    failure_ratio: float
    minimum_calls: int
    window: float
    open_for: float
    probes: int


class ScopeOverrides(TypedDict, total=False):
    """Any settings of `ScopeConfig`."""

    enabled: bool


class ProcessingOverrides(TypedDict, total=False):
    """Any settings of `ProcessingConfig`."""

    retry: RetryOverrides | RetryConfig
    breaker: BreakerOverrides | BreakerConfig
    scope: ScopeOverrides | ScopeConfig
    multi_cluster: bool
    cache_max_age: float
    event_max_age: float
    request_deadline: float
    max_concurrent_requests: int
    max_body_bytes: int


class GatewayOverrides(TypedDict, total=False):
    """Any settings of `GatewayConfig`: the arguments of its constructor, of `gateway_factory` and of the marker."""

    controller_namespace: str
    processing: ProcessingOverrides | ProcessingConfig
