"""DataStorage as a service: one process, one database, one listener."""

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
    on_start: Callable[[str], None],
) -> None:
    """Serve until SIGTERM or SIGINT: then finish what is in flight, close the database, and return.

    Call it on the main thread.

    Args:
        database: Where the events are kept, as `create_datastorage` takes it.
        listen: `host:port`; beyond loopback only with a token file, or with `allow_anonymous`.
        token_file: Who may read and write, in the form of `ScopedTokens`; None for everybody who can connect.
        allow_anonymous: Let everybody who can connect read and write, wherever it listens.
        purge_interval: Seconds between two purges of expired events; None to keep them.
        on_start: Called with the URL when requests are answered.

    Raises:
        ConfigurationError: An argument is wrong, the address can't be listened on, or it would be open to everybody.
        DataStorageError: The database can't be used.
    """
    if token_file is not None and allow_anonymous:
        raise ConfigurationError("a token file and allowing anonymous access contradict each other: choose one")
    datastorage = create_datastorage(database, token_file=token_file, purge_interval=purge_interval)
    sock = bind(*parse_listen(listen))
    if token_file is None and not allow_anonymous and not is_loopback(sock):
        sock.close()
        raise ConfigurationError(
            f"{listen} can be reached from other machines, and without tokens whoever connects could read and write "
            "the audit trail: pass --token-file FILE, listen on 127.0.0.1, or pass --allow-anonymous if that is meant"
        )
    server = AppServer(datastorage.app, sock=sock)
    with StopSignals() as stop:
        await server.run(until=stop.requested, on_start=lambda: on_start(server.url))
