"""The harness's settings, each with the place that it came from."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar, cast, get_args

from signal_gateway.errors import ConfigurationError

__all__ = ["LostEvents", "Setting", "Settings", "resolve"]

LostEvents = Literal["error", "warn", "ignore"]

_T_co = TypeVar("_T_co", covariant=True)


@dataclass(frozen=True)
class Setting(Generic[_T_co]):
    """One setting.

    Attributes:
        value: What it is; its default if nobody set it.
        source: Who said so, for messages, such as `--gateway-datastorage-url` or `ini option gateway_kubeconfig`.
    """

    value: _T_co
    source: str = "default"


@dataclass(frozen=True, slots=True)
class Settings:
    """What a test session is run with.

    Attributes:
        datastorage_url: The DataStorage to use; None embeds one.
        datastorage_token_file: A file with the bearer token that this DataStorage wants; None if it wants none.
        kubeconfig: The cluster to use, one namespace a test; None embeds one, a cluster a test.
        flush_timeout: Seconds that an audit store may take to deliver the rest at the end.
        lost_events: What events that were not delivered are to the session.
    """

    datastorage_url: Setting[str | None] = Setting(None)
    datastorage_token_file: Setting[str | None] = Setting(None)
    kubeconfig: Setting[str | None] = Setting(None)
    flush_timeout: Setting[float] = Setting(5.0)
    lost_events: Setting[LostEvents] = Setting("error")


def resolve(
    *,
    option: Callable[[str], str | None],
    environ: Mapping[str, str],
    ini: Callable[[str], str],
) -> Settings:
    """Find each setting: command line over environment over ini file over default.

    Args:
        option: Looks up a command line option by its destination, such as `gateway_datastorage_url`; None for a
            setting that has none.
        environ: The environment; `PYTEST_GATEWAY_DATASTORAGE_URL` and so on.
        ini: Looks up an ini option by the same name; empty if not set.

    Raises:
        ConfigurationError: A value is wrong; the message names the setting, its source and what is allowed.
    """

    def find(name: str) -> Setting[str | None]:
        flag = "--" + name.replace("_", "-")
        variable = f"PYTEST_{name.upper()}"
        if value := option(name):
            return Setting(value, flag)
        if value := environ.get(variable):
            return Setting(value, f"environment variable {variable}")
        if value := ini(name):
            return Setting(value, f"ini option {name}")
        return Setting(None)

    datastorage_url, token_file = find("gateway_datastorage_url"), find("gateway_datastorage_token_file")
    if token_file.value is not None and datastorage_url.value is None:
        raise ConfigurationError(
            f"gateway_datastorage_token_file is {token_file.value!r} (from {token_file.source}), and the embedded"
            " DataStorage wants no token: set gateway_datastorage_url, too, or leave it out"
        )
    return Settings(
        datastorage_url=datastorage_url,
        datastorage_token_file=token_file,
        kubeconfig=find("gateway_kubeconfig"),
        flush_timeout=_seconds("gateway_flush_timeout", find("gateway_flush_timeout"), default=5.0),
        lost_events=_lost_events("gateway_lost_events", find("gateway_lost_events")),
    )


def _seconds(name: str, setting: Setting[str | None], *, default: float) -> Setting[float]:
    if setting.value is None:
        return Setting(default)
    try:
        seconds = float(setting.value)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise _wrong(name, setting, "a number of seconds, 0 or more, such as 5")
    return Setting(seconds, setting.source)


def _lost_events(name: str, setting: Setting[str | None]) -> Setting[LostEvents]:
    allowed = get_args(LostEvents)
    if setting.value is None:
        return Setting("error")
    if setting.value not in allowed:
        raise _wrong(name, setting, f"one of {', '.join(allowed)}")
    return Setting(cast(LostEvents, setting.value), setting.source)


def _wrong(name: str, setting: Setting[str | None], allowed: str) -> ConfigurationError:
    return ConfigurationError(f"{name} is {setting.value!r} (from {setting.source}): give {allowed}")
