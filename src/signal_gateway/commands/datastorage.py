"""`signal-gateway datastorage`: run DataStorage and purge its database."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from signal_gateway.commands.output import count, note, say
from signal_gateway.errors import ConfigurationError, DataStorageError

if TYPE_CHECKING:
    import ssl

    from signal_gateway.web.logs import LogFormat

__all__ = ["purge", "serve_datastorage"]

_DATABASE_HELP = "for example sqlite:///audit.db or postgresql://…"


def serve_datastorage(
    context: typer.Context,
    database: Annotated[
        str | None, typer.Option(metavar="URL", help=_DATABASE_HELP + "; required", show_default=False)
    ] = None,
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="port 0 selects a free port")] = "127.0.0.1:8080",
    token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="accepted tokens, one line SCOPES TOKEN [NAME] each")
    ] = None,
    allow_anonymous: Annotated[
        bool, typer.Option("--allow-anonymous", help="serve without tokens, also beyond loopback")
    ] = False,
    purge_interval: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="how often to purge events whose retention is over; without it, never"),
    ] = None,
    tls_certificate: Annotated[
        Path | None, typer.Option(metavar="FILE", help="PEM file with the certificate for HTTPS, issuers behind it")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="FILE", help="PEM file with its private key")] = None,
    client_ca: Annotated[
        Path | None, typer.Option(metavar="FILE", help="PEM file: accept only clients with a certificate of these")
    ] = None,
    log_format: Annotated[str, typer.Option(metavar="json|console", help="format of the log on stderr")] = "json",
) -> None:
    """Run DataStorage, the service that keeps audit events."""
    if context.invoked_subcommand is not None:
        if database is not None:
            raise ConfigurationError(
                f"--database before {context.invoked_subcommand} has no effect: put it after the command"
            )
        return
    if database is None:
        raise ConfigurationError("--database is missing: set it, for example to sqlite:///audit.db")
    if log_format not in ("json", "console"):
        raise ConfigurationError(f"--log-format {log_format} is not valid: choose json or console")

    tls = _tls(tls_certificate, tls_key, client_ca)

    import asyncio

    from signal_gateway.datastorage.database import redacted_url
    from signal_gateway.datastorage.service import run_datastorage
    from signal_gateway.web.logs import logs_written

    def on_start(url: str) -> None:
        say(f"DataStorage on {url}, events in {redacted_url(database)}")

    with logs_written(sys.stderr, level="info", format=cast("LogFormat", log_format)):
        asyncio.run(
            run_datastorage(
                database,
                listen=listen,
                token_file=token_file,
                allow_anonymous=allow_anonymous,
                purge_interval=purge_interval,
                tls=tls,
                on_start=on_start,
            )
        )


def _tls(certificate: Path | None, key: Path | None, client_ca: Path | None) -> "ssl.SSLContext | None":
    if certificate is not None and key is not None:
        from signal_gateway.web.serving.tls import server_tls

        return server_tls(certificate, key, prefix="--tls-", client_ca=client_ca)
    if certificate is not None or key is not None:
        raise ConfigurationError("--tls-certificate and --tls-key belong together: set both, or neither for plain HTTP")
    if client_ca is not None:
        raise ConfigurationError("--client-ca needs HTTPS: set --tls-certificate and --tls-key, too")
    return None


def purge(
    database: Annotated[str, typer.Option(metavar="URL", help=_DATABASE_HELP)],
) -> None:
    """Delete the events whose retention is over, once. DataStorage may run at the same time."""
    import asyncio

    from signal_gateway.datastorage.database import redacted_url
    from signal_gateway.datastorage.retention import purge_database

    batches: list[int] = []

    async def purge_all() -> None:
        async for events in purge_database(database):
            batches.append(events)  # noqa: PERF401 - what was purged before a failure counts

    try:
        asyncio.run(purge_all())
    except DataStorageError:
        if batches:
            note(f"{count(sum(batches), 'event')} purged before it failed")
        raise
    say(f"{count(sum(batches), 'event')} purged from {redacted_url(database)}")
