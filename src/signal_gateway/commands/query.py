"""AuditQuery: the DataStorage and the filters of a command, from options that all audit commands share."""

import functools
import inspect
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from signal_gateway.commands.times import Edge, time_filter
from signal_gateway.errors import ConfigurationError

if TYPE_CHECKING:
    from signal_gateway.audit.client.client import AuditFilters, DataStorageClient

__all__ = [
    "TOKEN_FILE_VARIABLE",
    "URL_VARIABLE",
    "AuditQuery",
    "DataStorageOptions",
    "DataStorageUrl",
    "OldestFirst",
    "QueryTokenFile",
    "TokenFile",
    "Utc",
    "check_encoding",
    "datastorage_client",
    "datastorage_options",
    "query_options",
    "time_option",
]

URL_VARIABLE: Final = "SIGNAL_GATEWAY_DATASTORAGE"
"""Environment variable with the URL of DataStorage."""
TOKEN_FILE_VARIABLE: Final = "SIGNAL_GATEWAY_DATASTORAGE_TOKEN_FILE"
"""Environment variable with the file of the token for the DataStorage of `URL_VARIABLE`."""

DataStorageUrl = Annotated[
    str | None, typer.Option("--datastorage", metavar="URL", help=f"URL of DataStorage; default: ${URL_VARIABLE}")
]
QueryTokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file", metavar="FILE", help=f"file with the token for DataStorage; default: ${TOKEN_FILE_VARIABLE}"
    ),
]
TokenFile = Annotated[
    Path | None, typer.Option("--token-file", metavar="FILE", help="file with the bearer token for DataStorage")
]
OldestFirst = Annotated[bool, typer.Option("--oldest-first", help="begin with the oldest, not the newest")]
Utc = Annotated[bool, typer.Option("--utc", help="read times without a zone in UTC, not in the zone of this machine")]

_SINCE_HELP = "start: '2026-11-28 20:00', a day, 'yesterday 22:00', RFC 3339, or before now: 2h, 1h30m, 3d"


@dataclass(frozen=True, slots=True)
class DataStorageOptions:
    """The DataStorage of a command and its token, each with its source.

    Attributes:
        url: URL of DataStorage.
        source: The option or variable with the URL, for errors.
        token_file: File with the bearer token; None without a token.
        token_source: The option or variable with the file, for errors.
    """

    url: str
    source: str = "--datastorage"
    token_file: Path | None = None
    token_source: str = "--token-file"

    def client(self) -> "AbstractContextManager[DataStorageClient]":
        """Open a client of the DataStorage, and close it at the end; see `datastorage_client`."""
        return datastorage_client(
            self.url,
            source=self.source,
            token_file=self.token_file,
            token_source=self.token_source,
            token_options=f"give --token-file FILE, or set {TOKEN_FILE_VARIABLE}",
        )


@contextmanager
def datastorage_client(
    url: str,
    *,
    source: str,
    token_file: Path | None,
    token_source: str = "--token-file",
    token_options: str = "give --token-file FILE",
) -> "Iterator[DataStorageClient]":
    """Open a client of a DataStorage, and close it at the end.

    Args:
        url: URL of DataStorage.
        source: The option or variable with the URL, for errors.
        token_file: File with the bearer token; None without a token.
        token_source: The option or variable with the file, for errors.
        token_options: The remedy for a missing token, for errors.

    Raises:
        ConfigurationError: The URL or the file is not valid.
        TokenRefused: DataStorage refused a call in the block. The message has the options of the command for a token.
    """
    from signal_gateway.audit.client.client import DataStorageClient
    from signal_gateway.audit.client.token import read_token
    from signal_gateway.audit.errors import TokenRefused

    token = None if token_file is None else read_token(token_file, source=token_source)
    client = DataStorageClient(url, token=token, source=source)
    try:
        yield client
    except TokenRefused as exc:
        refusal = (
            f"DataStorage at {url} (from {source}) wants a token: {token_options}"
            if token_file is None
            else f"{exc}; the token is that of {token_source} {token_file}"
        )
        raise TokenRefused(refusal, missing_scope=exc.missing_scope) from exc
    finally:
        client.close()


def datastorage_options(
    url: str | None, token_file: Path | None, *, environment: Mapping[str, str] = os.environ
) -> DataStorageOptions:
    """Return the DataStorage that the options of a command name, or else the environment.

    An empty variable is one that is not set. The token of the environment goes to the DataStorage of the environment
    alone: another server must not receive it.

    Args:
        url: `--datastorage`; None if it is not given.
        token_file: `--token-file`; None if it is not given.
        environment: The variables.

    Raises:
        ConfigurationError: No source has the URL, or the token of the environment belongs to another DataStorage.
    """
    url_of_environment, token_of_environment = (environment.get(name) for name in (URL_VARIABLE, TOKEN_FILE_VARIABLE))
    given = url if url is not None else url_of_environment
    if url is None and not given:
        raise ConfigurationError(
            f"the URL of DataStorage is missing: give --datastorage URL, or set {URL_VARIABLE}, for example to"
            " http://127.0.0.1:8080"
        )
    assert given is not None
    source = "--datastorage" if url is not None else URL_VARIABLE
    if token_file is not None:
        return DataStorageOptions(given, source, token_file)
    if not token_of_environment:
        return DataStorageOptions(given, source)
    if url_of_environment and url_of_environment.rstrip("/") != given.rstrip("/"):
        raise ConfigurationError(
            f"{TOKEN_FILE_VARIABLE} has the token for {URL_VARIABLE}, and --datastorage names another server: add"
            f" --token-file FILE, or unset {TOKEN_FILE_VARIABLE}"
        )
    return DataStorageOptions(given, source, Path(token_of_environment), TOKEN_FILE_VARIABLE)


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """A query for audit events.

    Attributes:
        options: The DataStorage.
        filters: The filters of the query.
    """

    options: DataStorageOptions
    filters: "AuditFilters"

    @property
    def url(self) -> str:
        """URL of DataStorage."""
        return self.options.url

    def client(self) -> "AbstractContextManager[DataStorageClient]":
        """Open a client of the DataStorage, and close it at the end."""
        return self.options.client()


def _query(
    *,
    datastorage: DataStorageUrl = None,
    token_file: QueryTokenFile = None,
    correlation_id: Annotated[str | None, typer.Option(help="only the events of this case")] = None,
    event_type: Annotated[
        str | None, typer.Option("--event-type", "--type", help="for example gateway.crd.created")
    ] = None,
    category: Annotated[str | None, typer.Option(help="for example gateway")] = None,
    outcome: Annotated[str | None, typer.Option(help="success, failure or pending")] = None,
    severity: Annotated[str | None, typer.Option(help="severity at the source, for example critical")] = None,
    resource: Annotated[str | None, typer.Option(metavar="NAME", help="name of the workload")] = None,
    kind: Annotated[str | None, typer.Option(help="kind of the workload, for example Deployment")] = None,
    namespace: Annotated[str | None, typer.Option(help="namespace of the workload")] = None,
    actor: Annotated[str | None, typer.Option(metavar="ID", help="id of an actor, for example mira.okafor")] = None,
    actor_type: Annotated[str | None, typer.Option(help="type of the actor, for example user")] = None,
    text: Annotated[str | None, typer.Option(help="a part of a workload, alert, actor or correlation id")] = None,
    since: Annotated[str | None, typer.Option(metavar="TIME", help=_SINCE_HELP)] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="end, in the same forms")] = None,
    utc: Utc = False,
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
        "resource_name": resource,
        "resource_type": kind,
        "namespace": namespace,
        "actor_id": actor,
        "actor_type": actor_type,
        "text": text,
        "since": time_option(since, "since", utc=utc),
        "until": time_option(until, "until", utc=utc),
        "detail_key": key or None,
        "detail_value": value or None,
    }
    filters.update({name: text for name, text in given.items() if text is not None})  # type: ignore[typeddict-item]
    return AuditQuery(datastorage_options(datastorage, token_file), filters)


def time_option(text: str | None, edge: Edge, *, utc: bool) -> datetime | str | None:
    """Return the value of `--since` or `--until` as a filter.

    Args:
        text: The value, in one of the forms of `time_filter`; None if it is not given.
        edge: The option.
        utc: Whether a time without a zone is in UTC, and not in the zone of the machine.

    Returns:
        A moment; the text of a duration, which counts from the time of DataStorage; None without a value.

    Raises:
        ConfigurationError: The value has another form.
    """
    if text is None:
        return None
    try:
        from signal_gateway.clock import SystemClock

        moment = time_filter(text, edge=edge, now=SystemClock().now(), zone=UTC if utc else None)
    except ValueError as exc:
        raise ConfigurationError(f"--{edge} {exc}") from exc
    return moment if isinstance(moment, datetime) else text.strip().lower()


def check_encoding(*texts: object) -> None:
    """Check that the texts among the arguments of a command have the encoding of the locale.

    Raises:
        ConfigurationError: A text has bytes that it cannot have; Python has them as surrogates (PEP 383).
    """
    for text in texts:
        if isinstance(text, str) and not text.isprintable() and text.encode(errors="ignore").decode() != text:
            raise ConfigurationError(
                f"{text!r:.80} is not valid in the encoding of this locale, {sys.getfilesystemencoding()}: choose a"
                " locale with the encoding of your terminal, such as LC_ALL=C.UTF-8"
            )


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
        check_encoding(*arguments.values())
        query = _query(**{name: arguments[name] for name in shared})
        command(query, **{name: arguments[name] for name in names})

    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    by_keyword = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
    run.__signature__ = inspect.Signature(by_keyword)  # type: ignore[attr-defined]
    return run
