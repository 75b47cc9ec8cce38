"""The harness's settings, each with the place that it came from."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Generic, Literal, TypeVar, cast, get_args

from signal_gateway.errors import ConfigurationError

__all__ = ["LostEvents", "Report", "Setting", "Settings", "resolve"]

LostEvents = Literal["error", "warn", "ignore"]
Report = Literal["none", "brief", "full"]

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
        audit_db: The SQLite file that an embedded DataStorage keeps its events in; None for a temporary one.
        startup_timeout: Seconds that a server's start may take.
        stop_grace: Seconds that open requests may go on after a server's stop.
        flush_timeout: Seconds that an audit store may take to deliver the rest at the end.
        lost_events: What events that were not delivered are to the session.
        report: How much a failed test tells of its gateways.
        multiprocess_metrics: Whether prometheus_client may keep its values in files that servers share.
    """

    datastorage_url: Setting[str | None] = Setting(None)
    datastorage_token_file: Setting[str | None] = Setting(None)
    kubeconfig: Setting[str | None] = Setting(None)
    audit_db: Setting[str | None] = Setting(None)
    startup_timeout: Setting[float] = Setting(10.0)
    stop_grace: Setting[float] = Setting(2.0)
    flush_timeout: Setting[float] = Setting(5.0)
    lost_events: Setting[LostEvents] = Setting("error")
    report: Setting[Report] = Setting("brief")
    multiprocess_metrics: Setting[bool] = Setting(False)

    def lines(self) -> list[str]:
        """Return every setting with the source of its value, one a line."""
        return [
            f"{name} = {'embedded' if value is None else value} ({source})" for name, value, source in self._items()
        ]

    def summary(self) -> str:
        """Return what the session runs on, and what somebody has set, on one line."""
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
    audit_db = find("gateway_audit_db")
    if audit_db.value is not None and datastorage_url.value is not None:
        raise ConfigurationError(
            f"gateway_audit_db is {audit_db.value!r} (from {audit_db.source}), and the DataStorage of"
            f" {datastorage_url.source} keeps its own database: leave one of them out"
        )

    def seconds(name: str, default: float) -> Setting[float]:
        return _seconds(name, find(name), default=default)

    return Settings(
        datastorage_url=datastorage_url,
        datastorage_token_file=token_file,
        kubeconfig=find("gateway_kubeconfig"),
        audit_db=audit_db,
        startup_timeout=seconds("gateway_startup_timeout", 10.0),
        stop_grace=seconds("gateway_stop_grace", 2.0),
        flush_timeout=seconds("gateway_flush_timeout", 5.0),
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
        raise _wrong(name, setting, "a number of seconds, 0 or more, such as 5")
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
        raise _wrong(name, setting, f"one of {', '.join(allowed)}")
    return Setting(setting.value, setting.source)


def _of(service: Setting[str | None]) -> str:
    return "embedded" if service.value is None else f"{service.value} (from {service.source})"


def _wrong(name: str, setting: Setting[str | None], allowed: str) -> ConfigurationError:
    return ConfigurationError(f"{name} is {setting.value!r} (from {setting.source}): give {allowed}")
