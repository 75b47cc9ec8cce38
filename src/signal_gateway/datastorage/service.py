"""The DataStorage service: one process with one database and one listening socket."""

import ssl
from collections.abc import Callable
from pathlib import Path

from signal_gateway.datastorage.factory import create_datastorage
from signal_gateway.errors import ConfigurationError
from signal_gateway.web.serving.app_server import AppServer
from signal_gateway.web.serving.sockets import bind, is_loopback, parse_listen
from signal_gateway.web.serving.stop_signals import StopSignals

__all__ = ["run_datastorage"]


async def run_datastorage(
    database: str,
    *,
    listen: str,
    token_file: Path | None,
    allow_anonymous: bool,
    purge_interval: float | None,
    tls: ssl.SSLContext | None = None,
    on_start: Callable[[str], None],
) -> None:
    """Serve until SIGTERM or SIGINT, then finish the requests in flight, close the database, and return.

    Call it on the main thread.

    Args:
        database: The database URL, as in `create_datastorage`.
        listen: `host:port`. An address beyond loopback needs a token file or `allow_anonymous`.
        token_file: The tokens for reading and writing, in the form of `ScopedTokens`; None needs no token.
        allow_anonymous: Allow requests without a token on any address.
        purge_interval: Seconds between two purges of expired events; None keeps all events.
        tls: TLS context of `server_tls`; None for plain HTTP.
        on_start: Called with the URL as soon as the service accepts requests.

    Raises:
        ConfigurationError: An argument is not valid, the address is not available, or the service would accept
            anonymous requests from other machines.
        DataStorageError: The database is not usable.
    """
    if token_file is not None and allow_anonymous:
        raise ConfigurationError("a token file and anonymous access contradict each other: choose one")
    datastorage = create_datastorage(database, token_file=token_file, purge_interval=purge_interval)
    sock = bind(*parse_listen(listen))
    if token_file is None and not allow_anonymous and not is_loopback(sock):
        sock.close()
        raise ConfigurationError(
            f"{listen} can be reached from other machines, and needs tokens to protect the audit trail: pass "
            "--token-file FILE, listen on 127.0.0.1, or pass --allow-anonymous"
        )
    server = AppServer(datastorage.app, sock=sock, tls=tls)
    with StopSignals() as stop:
        await server.run(until=stop.requested, on_start=lambda: on_start(server.url))
