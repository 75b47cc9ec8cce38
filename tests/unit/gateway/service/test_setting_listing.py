import pytest
from pydantic import BaseModel, Field

from signal_gateway.gateway.service.config import ServiceConfig
from signal_gateway.gateway.service.setting_listing import ListedSetting, list_settings
from signal_gateway.gateway.service.setting_source import SettingSources


class Storage(BaseModel):
    """A storage."""

    url: str = Field(description="Where it answers, with a scheme.")
    password: str | None = Field(default=None, description="What it wants.")
    tries: int = Field(default=3, description="How often.")


class Config(BaseModel):
    """Everything."""

    storage: Storage


def test_defaults_are_listed_with_what_must_be_set():
    assert list_settings(Config) == [
        ListedSetting("storage.url", None, None, "Where it answers, with a scheme."),
        ListedSetting("storage.password", "null", "default", "What it wants."),
        ListedSetting("storage.tries", "3", "default", "How often."),
    ]


def test_values_are_listed_with_their_sources_and_without_secrets():
    sources = SettingSources()
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
