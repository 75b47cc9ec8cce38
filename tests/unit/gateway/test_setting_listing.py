import pytest
from pydantic import BaseModel

from signal_gateway.gateway.service.config import ServiceConfig
from signal_gateway.gateway.service.setting_listing import Setting, list_settings
from signal_gateway.gateway.service.setting_source import Sourced


class Storage(BaseModel):
    """Where things go.

    Attributes:
        url: Where it answers,
            with a scheme.
        password: What it wants.
        tries: How often.
    """

    url: str
    password: str | None = None
    tries: int = 3


class Config(BaseModel):
    """Everything.

    Attributes:
        storage: Where things go.
    """

    storage: Storage


def test_defaults_are_listed_with_what_must_be_set():
    assert list_settings(Config) == [
        Setting("storage.url", None, None, "Where it answers, with a scheme."),
        Setting("storage.password", "null", "default", "What it wants."),
        Setting("storage.tries", "3", "default", "How often."),
    ]


def test_values_are_listed_with_their_sources_and_without_secrets():
    sources = Sourced()
    sources.put(("storage", "url"), "http://me:hunter2@x", source="a.yaml:2")
    sources.put(("storage", "password"), "hunter2", source="variable PASSWORD")
    config = Config.model_validate(sources.tree())

    url, password, tries = list_settings(Config, values=config, sources=sources)

    assert (url.value, url.source) == ("http://me:***@x", "a.yaml:2")
    assert (password.value, password.source) == ("***", "variable PASSWORD")
    assert (tries.value, tries.source) == ("3", "default")


@pytest.mark.parametrize("setting", list_settings(ServiceConfig), ids=lambda setting: setting.key)
def test_every_setting_of_the_service_says_what_it_is_about(setting):
    assert setting.description.endswith(".")
