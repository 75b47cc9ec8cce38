"""Settings as nested dicts, as models, and by the marker."""

from pathlib import Path
from typing import Unpack

import pytest

from signal_gateway import GatewayConfig, GatewayOverrides
from signal_gateway.audit import AuditStoreConfig
from signal_gateway.gateway.config import ProcessingConfig, ScopeConfig
from signal_gateway.testing import GatewayFactory, LiveGateway


@pytest.fixture
def gateway_config() -> GatewayConfig:
    return GatewayConfig(processing={"scope": {"enabled": False}, "retry": {"max_attempts": 1}})


@pytest.mark.gateway(processing={"max_body_bytes": 1000})
def test_marker(gateway: LiveGateway) -> None:
    assert gateway.config.processing.max_body_bytes == 1000


def test_factory(gateway_factory: GatewayFactory) -> None:
    gateway_factory(processing={"retry": {"max_attempts": 9}, "cache_max_age": 0}, controller_namespace="prod")
    gateway_factory(GatewayConfig(), processing={"breaker": {"window": 1.5}})


def strict(gateway_factory: GatewayFactory, **overrides: Unpack[GatewayOverrides]) -> LiveGateway:
    return gateway_factory(**overrides)


def configs() -> list[GatewayConfig]:
    models = GatewayConfig(processing=ProcessingConfig(scope=ScopeConfig(enabled=False)))
    return [models, GatewayConfig(processing=ProcessingConfig(scope={"enabled": False})), GatewayConfig()]


def stores(folder: Path) -> list[AuditStoreConfig]:
    return [
        AuditStoreConfig(spool_directory="/var/lib/gateway", linger=0),
        AuditStoreConfig(spool_directory=folder / "spool"),
        AuditStoreConfig(durability="memory"),
    ]
