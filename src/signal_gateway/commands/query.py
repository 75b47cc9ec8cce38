"""AuditQuery: the DataStorage and the filters of a command, from options that all audit commands share."""

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from signal_gateway.clock import SystemClock
from signal_gateway.commands.times import Edge, time_filter
from signal_gateway.errors import ConfigurationError

if TYPE_CHECKING:
    from signal_gateway.audit.client.client import AuditFilters, DataStorageClient

__all__ = ["AuditQuery", "TokenFile", "datastorage_client", "query_options"]

TokenFile = Annotated[
    Path | None, typer.Option("--token-file", metavar="FILE", help="file with the bearer token for DataStorage")
]

_SINCE_HELP = "start: '2026-11-28 20:00', a day, 'yesterday 22:00', RFC 3339, or before now: 2h, 1h30m, 3d"


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """A query for audit events.

    Attributes:
        url: URL of DataStorage.
        token_file: File with the bearer token; None without a token.
        filters: The filters of the query.
    """

    url: str
    token_file: Path | None
    filters: "AuditFilters"

    @contextmanager
    def client(self) -> "Iterator[DataStorageClient]":
        """Open a client of the DataStorage, and close it at the end."""
        with datastorage_client(self.url, source="--datastorage", token_file=self.token_file) as client:
            yield client


@contextmanager
def datastorage_client(url: str, *, source: str, token_file: Path | None) -> "Iterator[DataStorageClient]":
    """Open a client of a DataStorage, and close it at the end.

    Args:
        url: URL of DataStorage.
        source: The option with the URL, for errors.
        token_file: File with the bearer token; None without a token.

    Raises:
        ConfigurationError: The URL or the file is not valid.
    """
    from signal_gateway.audit.client.client import DataStorageClient
    from signal_gateway.audit.client.token import read_token

    token = None if token_file is None else read_token(token_file, source="--token-file")
    client = DataStorageClient(url, token=token, source=source)
    try:
        yield client
    finally:
        client.close()


def _query(
    *,
    datastorage: Annotated[str, typer.Option("--datastorage", metavar="URL", help="URL of DataStorage")],
    token_file: TokenFile = None,
    correlation_id: Annotated[str | None, typer.Option(help="only the events of this case")] = None,
    event_type: Annotated[
        str | None, typer.Option("--event-type", "--type", help="for example gateway.crd.created")
    ] = None,
    category: Annotated[str | None, typer.Option(help="for example gateway")] = None,
    outcome: Annotated[str | None, typer.Option(help="success, failure or pending")] = None,
    severity: Annotated[str | None, typer.Option(help="severity at the source, for example critical")] = None,
    since: Annotated[str | None, typer.Option(metavar="TIME", help=_SINCE_HELP)] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="end, in the same forms")] = None,
    utc: Annotated[
        bool, typer.Option("--utc", help="read times without a zone in UTC, not in the zone of this machine")
    ] = False,
    detail: Annotated[str | None, typer.Option(metavar="KEY=VALUE", help="a member of event_data")] = None,
) -> AuditQuery:
    key, equals, value = (detail or "").partition("=")
    if detail is not None and not (key and equals and value):
        raise ConfigurationError(f"--detail {detail!r} is not valid: use KEY=VALUE, such as namespace=prod")
    filters: AuditFilters = {}
    given = {
        "correlation_id": correlation_id,
        "event_type": event_type,
        "event_category": category,
        "event_outcome": outcome,
        "severity": severity,
        "since": _time(since, "since", utc=utc),
        "until": _time(until, "until", utc=utc),
        "detail_key": key or None,
        "detail_value": value or None,
    }
    filters.update({name: text for name, text in given.items() if text is not None})  # type: ignore[typeddict-item]
    return AuditQuery(datastorage, token_file, filters)


def _time(text: str | None, edge: Edge, *, utc: bool) -> datetime | str | None:
    """Return a time as a filter: a moment, or the text of a duration, which counts from the time of DataStorage."""
    if text is None:
        return None
    try:
        moment = time_filter(text, edge=edge, now=SystemClock().now(), zone=UTC if utc else None)
    except ValueError as exc:
        raise ConfigurationError(f"--{edge} {exc}") from exc
    return moment if isinstance(moment, datetime) else text.strip().lower()


def query_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of an `AuditQuery` to a command, which receives the query as its first parameter.

    Args:
        command: The command. One of its parameters with the name of an option replaces that option in the query.

    Returns:
        The command with the complete signature for Typer.
    """
    shared = inspect.signature(_query).parameters
    own = list(inspect.signature(command).parameters.values())[1:]
    names = {parameter.name for parameter in own}
    parameters = own + [parameter for name, parameter in shared.items() if name not in names]

    @functools.wraps(command)
    def run(**arguments: Any) -> None:
        query = _query(**{name: arguments[name] for name in shared})
        command(query, **{name: arguments[name] for name in names})

    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    by_keyword = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
    run.__signature__ = inspect.Signature(by_keyword)  # type: ignore[attr-defined]
    return run
