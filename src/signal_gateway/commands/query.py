"""AuditQuery: which DataStorage a command query_options, and for what; the options that say so are the same everywhere."""

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from signal_gateway.errors import ConfigurationError

if TYPE_CHECKING:
    from signal_gateway.audit.client.client import AuditFilters, DataStorageClient

__all__ = ["AuditQuery", "TokenFile", "datastorage_client", "query_options"]

TokenFile = Annotated[
    Path | None, typer.Option("--token-file", metavar="FILE", help="file with the bearer token that DataStorage wants")
]


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """What a command query_options a DataStorage.

    Attributes:
        url: Where DataStorage answers.
        token_file: The file with its token.
        filters: Which events.
    """

    url: str
    token_file: Path | None
    filters: "AuditFilters"

    @contextmanager
    def client(self) -> "Iterator[DataStorageClient]":
        """Give a client of the DataStorage; it is closed in the end."""
        with datastorage_client(self.url, source="--datastorage", token_file=self.token_file) as client:
            yield client


@contextmanager
def datastorage_client(url: str, *, source: str, token_file: Path | None) -> "Iterator[DataStorageClient]":
    """Give a client of a DataStorage; it is closed in the end.

    Args:
        url: Where DataStorage answers.
        source: The option that says so.
        token_file: The file with its token.

    Raises:
        ConfigurationError: The URL or the file can't be used.
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
    datastorage: Annotated[str, typer.Option("--datastorage", metavar="URL", help="where DataStorage answers")],
    token_file: TokenFile = None,
    correlation_id: Annotated[str | None, typer.Option(help="only the events of this matter")] = None,
    event_type: Annotated[
        str | None, typer.Option("--event-type", "--type", help="such as gateway.crd.created")
    ] = None,
    category: Annotated[str | None, typer.Option(help="such as gateway")] = None,
    outcome: Annotated[str | None, typer.Option(help="success, failure or pending")] = None,
    severity: Annotated[str | None, typer.Option(help="as the source said it")] = None,
    since: Annotated[str | None, typer.Option(help="RFC 3339, a date, or 24h, 30m, 7d")] = None,
    until: Annotated[str | None, typer.Option(help="the same forms")] = None,
    detail: Annotated[str | None, typer.Option(metavar="KEY=VALUE", help="a member of event_data")] = None,
) -> AuditQuery:
    key, equals, value = (detail or "").partition("=")
    if detail is not None and not (key and equals and value):
        raise ConfigurationError(f"--detail {detail!r}: give KEY=VALUE, such as namespace=prod")
    filters: AuditFilters = {}
    given = {
        "correlation_id": correlation_id,
        "event_type": event_type,
        "event_category": category,
        "event_outcome": outcome,
        "severity": severity,
        "since": since,
        "until": until,
        "detail_key": key or None,
        "detail_value": value or None,
    }
    filters.update({name: text for name, text in given.items() if text is not None})  # type: ignore[typeddict-item]
    return AuditQuery(datastorage, token_file, filters)


def query_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that make up a `AuditQuery`, its first parameter.

    Args:
        command: A parameter of its own stands in for the option of that name, and goes into the query, too.

    Returns:
        What Typer reads the whole signature of.
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
