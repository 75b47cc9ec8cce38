"""The settings of a test session, each with its source."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Generic, Literal, Protocol, TypeVar, cast, get_args

from signal_gateway.errors import ConfigurationError

__all__ = ["LostEvents", "Report", "SessionOptions", "Setting", "Settings", "resolve_settings"]

LostEvents = Literal["error", "warn", "ignore"]
Report = Literal["none", "brief", "full"]

_T_co = TypeVar("_T_co", covariant=True)


class SessionOptions(Protocol):
    """The command line options and ini options of a session: `pytest.Config`."""

    def getoption(self, name: str, default: Any, /) -> Any:
        """Return the command line option with this destination, such as `gateway_datastorage_url`."""
        ...

    def getini(self, name: str, /) -> Any:
        """Return the ini option with this name; empty if it is not set."""
        ...


@dataclass(frozen=True)
class Setting(Generic[_T_co]):
    """One setting.

    Attributes:
        value: The value, or the default.
        source: The source of the value, for messages, such as `--gateway-datastorage-url`.
    """

    value: _T_co
    source: str = "default"


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a test session.

    Attributes:
        datastorage_url: The URL of a DataStorage; None for an embedded one.
        datastorage_token_file: A file with the bearer token for this DataStorage; None for no token.
        kubeconfig: The kubeconfig of a cluster, with one namespace per test; None for an embedded cluster per test.
        audit_db: The SQLite file of the embedded DataStorage; None for a temporary file.
        startup_timeout: Seconds for the start-up of a server, for the first response of the DataStorage, and for the
            requests and events that `settle` waits for.
        stop_grace: Seconds for open requests after the stop of a server.
        flush_timeout: Seconds to deliver the pending events of an audit store at the end.
        lost_events: The effect of undelivered events on the session.
        report: The amount of detail in the report of a failed test.
        multiprocess_metrics: Whether the multiprocess mode of prometheus_client is allowed.
    """

    datastorage_url: Setting[str | None] = Setting(None)
    datastorage_token_file: Setting[str | None] = Setting(None)
    kubeconfig: Setting[str | None] = Setting(None)
    audit_db: Setting[str | None] = Setting(None)
    startup_timeout: Setting[float] = Setting(60.0)
    stop_grace: Setting[float] = Setting(10.0)
    flush_timeout: Setting[float] = Setting(30.0)
    lost_events: Setting[LostEvents] = Setting("error")
    report: Setting[Report] = Setting("brief")
    multiprocess_metrics: Setting[bool] = Setting(False)

    def lines(self) -> list[str]:
        """Return one line per setting, with the source of its value."""
        return [
            f"{name} = {'embedded' if value is None else value} ({source})" for name, value, source in self._items()
        ]

    def summary(self) -> str:
        """Return one line with the services of the session and the settings that have no default value."""
        services = [
            f"DataStorage {_of(self.datastorage_url)}",
            f"Kubernetes {_of(self.kubeconfig)}",
        ]
        others = [
            f"{name} {value} (from {source})"
            for name, value, source in self._items()
            if source != "default" and name not in ("datastorage_url", "kubeconfig")
        ]
        return ", ".join(services + others)

    def _items(self) -> list[tuple[str, object, str]]:
        settings: list[tuple[str, Setting[object]]] = [(item.name, getattr(self, item.name)) for item in fields(self)]
        return [(name, setting.value, setting.source) for name, setting in settings]


def resolve_settings(options: SessionOptions, environ: Mapping[str, str]) -> Settings:
    """Return the settings. The precedence is command line, environment, ini file, default.

    Args:
        options: The command line options and the ini options.
        environ: The environment, with variables such as `PYTEST_GATEWAY_DATASTORAGE_URL`.

    Raises:
        ConfigurationError: A value is wrong. The message names the setting, its source and the allowed values.
    """

    def find(name: str) -> Setting[str | None]:
        flag = "--" + name.replace("_", "-")
        variable = f"PYTEST_{name.upper()}"
        if value := options.getoption(name, None):
            return Setting(value, flag)
        if value := environ.get(variable):
            return Setting(value, f"environment variable {variable}")
        if value := options.getini(name):
            return Setting(value, f"ini option {name}")
        return Setting(None)

    datastorage_url, token_file = find("gateway_datastorage_url"), find("gateway_datastorage_token_file")
    if token_file.value is not None and datastorage_url.value is None:
        raise ConfigurationError(
            f"gateway_datastorage_token_file is {token_file.value!r} (from {token_file.source}), but the embedded"
            " DataStorage has no tokens: set gateway_datastorage_url too, or leave the token file out"
        )
    audit_db = find("gateway_audit_db")
    if audit_db.value is not None and datastorage_url.value is not None:
        raise ConfigurationError(
            f"gateway_audit_db is {audit_db.value!r} (from {audit_db.source}), but the DataStorage of"
            f" {datastorage_url.source} has its own database: leave one of them out"
        )

    def seconds(name: str, default: float) -> Setting[float]:
        return _seconds(name, find(name), default=default)

    return Settings(
        datastorage_url=datastorage_url,
        datastorage_token_file=token_file,
        kubeconfig=find("gateway_kubeconfig"),
        audit_db=audit_db,
        startup_timeout=seconds("gateway_startup_timeout", 60.0),
        stop_grace=seconds("gateway_stop_grace", 10.0),
        flush_timeout=seconds("gateway_flush_timeout", 30.0),
        lost_events=_lost_events(find("gateway_lost_events")),
        report=_report(find("gateway_report")),
        multiprocess_metrics=_boolean("gateway_multiprocess_metrics", find("gateway_multiprocess_metrics")),
    )


def _seconds(name: str, setting: Setting[str | None], *, default: float) -> Setting[float]:
    if setting.value is None:
        return Setting(default)
    try:
        seconds = float(setting.value)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise _invalid(name, setting, "a number of seconds, 0 or more, such as 5")
    return Setting(seconds, setting.source)


def _lost_events(setting: Setting[str | None]) -> Setting[LostEvents]:
    return cast(Setting[LostEvents], _one_of("gateway_lost_events", setting, get_args(LostEvents), default="error"))


def _report(setting: Setting[str | None]) -> Setting[Report]:
    return cast(Setting[Report], _one_of("gateway_report", setting, get_args(Report), default="brief"))


def _boolean(name: str, setting: Setting[str | None]) -> Setting[bool]:
    chosen = _one_of(name, setting, ("true", "false"), default="false")
    return Setting(chosen.value == "true", chosen.source)


def _one_of(name: str, setting: Setting[str | None], allowed: tuple[str, ...], *, default: str) -> Setting[str]:
    if setting.value is None:
        return Setting(default)
    if setting.value not in allowed:
        raise _invalid(name, setting, f"one of {', '.join(allowed)}")
    return Setting(setting.value, setting.source)


def _of(service: Setting[str | None]) -> str:
    return "embedded" if service.value is None else f"{service.value} (from {service.source})"


def _invalid(name: str, setting: Setting[str | None], allowed: str) -> ConfigurationError:
    return ConfigurationError(f"{name} is {setting.value!r} (from {setting.source}): give {allowed}")
