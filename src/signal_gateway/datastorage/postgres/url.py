"""PostgreSQL URLs: how they are read, and what of them may be shown."""

from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from signal_gateway.errors import ConfigurationError

__all__ = ["connection_parameters", "described"]

_EXAMPLE = "postgresql://user:password@host:5432/database"

# A connection must never wait without end for a server that is gone. `read-write` finds the primary among several
# hosts, and refuses a standby.
_DEFAULTS: dict[str, str | int] = {
    "connect_timeout": 5,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
    "target_session_attrs": "read-write",
    "application_name": "signal-gateway datastorage",
}


def connection_parameters(url: str) -> dict[str, Any]:
    """Read a URL into what `psycopg.connect` takes, with timeouts where it gives none.

    Args:
        url: Of libpq's form: `postgresql://user:password@host:port/database?option=value`.

    Raises:
        ConfigurationError: It can't be read. Nothing of it is repeated: a password that isn't percent-encoded may be
            anywhere in it.
    """
    authority, slash, path = url.partition("://")[2].partition("?")[0].partition("/")
    if authority.count("@") > 1 or "@" in path:
        raise ConfigurationError(
            f"the PostgreSQL URL has a stray @: write {_EXAMPLE}, with @ as %40, / as %2F, : as %3A and % as %25 in "
            "the password"
        )
    try:
        parameters = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        # without its cause, which quotes the part that it could not read
        raise ConfigurationError(
            f"the PostgreSQL URL can't be read: write {_EXAMPLE}, with special characters percent-encoded (% as %25)"
        ) from None

    ports = str(parameters.get("port") or "5432").split(",")
    if not all(port.isdecimal() and 0 < int(port) < 2**16 for port in ports):
        raise ConfigurationError(f"the PostgreSQL URL has a port that is none: write {_EXAMPLE}")
    if not slash or not parameters.get("dbname"):
        raise ConfigurationError(f"the PostgreSQL URL names no database: write {_EXAMPLE}")
    return {**_DEFAULTS, **parameters, "client_encoding": "UTF8"}


def described(parameters: dict[str, Any]) -> str:
    """Name a database for people, without its password."""
    shown = {name: parameters[name] for name in ("host", "port", "dbname", "user") if name in parameters}
    return f"the PostgreSQL database ({make_conninfo(**shown)})"
