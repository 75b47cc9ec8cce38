import pytest
from pydantic import ValidationError

import signal_gateway.audit
from signal_gateway.audit import AuditStoreConfig
from signal_gateway.errors import ConfigurationError


@pytest.mark.parametrize("settings", [{}, {"durability": "process"}])
def test_missing_spool_directory_is_refused_with_both_remedies(settings):
    with pytest.raises(ConfigurationError, match=r'spool_directory is missing: set it .* or set durability="memory"'):
        AuditStoreConfig(**settings)


def test_spool_directory_is_of_no_use_in_memory():
    with pytest.raises(ConfigurationError, match=r"spool_directory '/spool' is of no use"):
        AuditStoreConfig(durability="memory", spool_directory="/spool")


def test_spool_directory_means_a_gibibyte_that_survives_the_process():
    config = AuditStoreConfig(spool_directory="/spool")

    assert config.durability == "process"
    assert config.max_spool_bytes == 1024 * 1024 * 1024


def test_defaults_are_those_of_the_contract():
    config = AuditStoreConfig(durability="memory")

    assert config.max_batch_events == 1000
    assert config.max_batch_bytes == 4 * 1024 * 1024
    assert (config.linger, config.initial_backoff, config.max_backoff) == (0.05, 0.1, 30.0)
    assert config.max_spool_bytes == 256 * 1024 * 1024


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_batch_events": 0},
        {"max_batch_events": 1001},
        {"linger": -1},
        {"linger": float("inf")},
        {"initial_backoff": 0},
        {"max_spool_bytes": 65535},
        {"initial_backoff": 2, "max_backoff": 1},
        {"durability": "disk"},
        {"max_batch": 5},
    ],
)
def test_wrong_setting_is_refused(wrong):
    with pytest.raises(ValidationError):
        AuditStoreConfig(**{"durability": "memory"} | wrong)


def test_settings_can_not_be_changed_later():
    config = AuditStoreConfig(durability="memory")

    with pytest.raises(ValidationError):
        config.linger = 1


def test_every_public_name_of_the_room_is_there():
    for name in signal_gateway.audit.__all__:
        found = getattr(signal_gateway.audit, name)
        assert name.isupper() or found.__name__ == name
