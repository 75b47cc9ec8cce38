"""PostgreSQL URLs: parsing, and the name of a database for messages."""

from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from signal_gateway.errors import ConfigurationError

__all__ = ["connection_parameters", "display_name"]

_EXAMPLE = "postgresql://user:password@host:5432/database"

# Every wait for an unreachable server has a limit. `read-write` selects the primary among several hosts and rejects a
# standby.
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
    """Parse a URL into the parameters of `psycopg.connect`, with default timeouts.

    Args:
        url: A libpq URL: `postgresql://user:password@host:port/database?option=value`.

    Raises:
        ConfigurationError: The URL is not valid. The message repeats no part of it, because a password without percent
            encoding may be anywhere.
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
        # without the cause, which quotes a part of the URL
        raise ConfigurationError(
            f"the PostgreSQL URL is not valid: write {_EXAMPLE}, with special characters percent-encoded (% as %25)"
        ) from None

    ports = str(parameters.get("port") or "5432").split(",")
    if not all(port.isdecimal() and 0 < int(port) < 2**16 for port in ports):
        raise ConfigurationError(f"the PostgreSQL URL has an invalid port: write {_EXAMPLE}")
    if not slash or not parameters.get("dbname"):
        raise ConfigurationError(f"the PostgreSQL URL names no database: write {_EXAMPLE}")
    return {**_DEFAULTS, **parameters, "client_encoding": "UTF8"}


def display_name(parameters: dict[str, Any]) -> str:
    """Return the name of a database for messages, without its password."""
    shown = {name: parameters[name] for name in ("host", "port", "dbname", "user") if name in parameters}
    return f"the PostgreSQL database ({make_conninfo(**shown)})"
