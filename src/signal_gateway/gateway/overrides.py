"""GatewayOverrides: the settings of a gateway as nested dicts with any of the keys, for type checkers.

One TypedDict for each model of `config`, with the keys and the types of its fields. A nested model may be given as a
dict or as an instance.
"""

from collections.abc import Mapping
from typing import Literal, TypedDict

from signal_gateway.gateway.config import (
    BreakerConfig,
    ExporterConfig,
    ProcessingConfig,
    RetryConfig,
    ScopeConfig,
    TargetsConfig,
)

__all__ = [
    "BreakerOverrides",
    "ExporterOverrides",
    "GatewayOverrides",
    "ProcessingOverrides",
    "RetryOverrides",
    "ScopeOverrides",
    "TargetsOverrides",
]


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


class ExporterOverrides(TypedDict, total=False):
    """Any settings of `ExporterConfig`."""

    matches: tuple[str, ...]
    speaks_of: Literal["itself", "node", "others"]
    names_pods: bool
    labels: Mapping[str, str]


class TargetsOverrides(TypedDict, total=False):
    """Any settings of `TargetsConfig`."""

    labels: Mapping[str, str]
    ignored_labels: tuple[str, ...]
    exporters: Mapping[str, ExporterOverrides | ExporterConfig]


class ProcessingOverrides(TypedDict, total=False):
    """Any settings of `ProcessingConfig`."""

    retry: RetryOverrides | RetryConfig
    breaker: BreakerOverrides | BreakerConfig
    scope: ScopeOverrides | ScopeConfig
    targets: TargetsOverrides | TargetsConfig
    multi_cluster: bool
    cluster_signals: Literal["reject", "notify"]
    cache_max_age: float
    event_max_age: float
    request_deadline: float
    max_concurrent_requests: int
    max_body_bytes: int


class GatewayOverrides(TypedDict, total=False):
    """Any settings of `GatewayConfig`: the arguments of its constructor, of `gateway_factory` and of the marker."""

    controller_namespace: str
    processing: ProcessingOverrides | ProcessingConfig
