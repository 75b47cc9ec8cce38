import pytest
from pydantic import ValidationError

from signal_gateway import GatewayConfig
from signal_gateway.errors import ConfigurationError
from signal_gateway.gateway.config import merged


def test_default_is_valid_and_the_same_everywhere(monkeypatch):
    monkeypatch.setenv("SIGNAL_GATEWAY__CONTROLLER_NAMESPACE", "elsewhere")

    config = GatewayConfig()

    assert config.controller_namespace == "kubernaut-system"
    assert config.model_dump()["processing"] == {
        "retry": {"max_attempts": 3, "initial_backoff": 0.1, "max_backoff": 5.0},
        "breaker": {"failure_ratio": 0.5, "minimum_calls": 10, "window": 10.0, "open_for": 30.0, "probes": 3},
        "scope": {"enabled": True},
        "targets": {"labels": {}, "ignored_labels": (), "exporters": {}},
        "multi_cluster": False,
        "cluster_signals": "reject",
        "cache_max_age": 5.0,
        "event_max_age": 300.0,
        "request_deadline": 15.0,
        "max_concurrent_requests": 100,
        "max_body_bytes": 4 * 1024 * 1024,
    }


def test_config_cannot_be_changed():
    config = GatewayConfig()

    with pytest.raises(ValidationError, match="frozen"):
        config.controller_namespace = "elsewhere"  # type: ignore[misc]


@pytest.mark.parametrize(
    "settings",
    [
        {"unknown": 1},
        {"controller_namespace": "Not A Namespace"},
        {"controller_namespace": "kube-system\n"},
        {"processing": {"retry": {"max_attempts": 0}}},
        {"processing": {"retry": {"initial_backoff": 2, "max_backoff": 1}}},
        {"processing": {"retry": {"initial_backoff": float("nan")}}},
        {"processing": {"request_deadline": 0}},
        {"processing": {"max_concurrent_requests": 0}},
        {"processing": {"max_body_bytes": 0}},
        {"processing": {"cache_max_age": 5.1}},
    ],
)
def test_setting_that_makes_no_sense_is_refused(settings):
    with pytest.raises(ValidationError):
        GatewayConfig(**settings)


def test_overrides_are_merged_deeply():
    base = merged(GatewayConfig(), {"processing": {"retry": {"max_attempts": 5}}})

    config = merged(base, {"processing": {"retry": {"max_backoff": 9}}, "controller_namespace": "mine"})

    assert config.processing.retry.max_attempts == 5
    assert config.processing.retry.max_backoff == 9
    assert config.controller_namespace == "mine"
    assert base.processing.retry.max_backoff == 5.0


def test_wrong_overrides_are_named_all_at_once():
    with pytest.raises(ConfigurationError) as refusal:
        merged(GatewayConfig(), {"processing": {"retry": {"max_attempts": 0, "attempts": 2}, "scope": 5}, "nope": 1})

    message = str(refusal.value)
    assert "processing.retry.max_attempts = 0: Input should be greater than or equal to 1" in message
    assert "processing.retry.attempts = 2: there is no such key; allowed here: initial_backoff, max_att" in message
    assert "processing.scope = 5: this is a section; set its keys instead: enabled" in message
    assert "nope = 1: there is no such key; allowed here: controller_namespace, processing" in message
