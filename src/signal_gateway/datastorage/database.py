"""Database URLs: which backend keeps the events, and where."""

from pathlib import Path

from signal_gateway.datastorage.backend import Backend
from signal_gateway.datastorage.sqlite.backend import SqliteBackend
from signal_gateway.errors import ConfigurationError

__all__ = ["backend_for", "redacted_url"]

_EXAMPLES = (
    "write sqlite:///audit.db for a file in the working directory, sqlite:////var/lib/audit.db, or "
    "postgresql://user:password@host:5432/database"
)


def backend_for(database: str) -> Backend:
    """Choose the backend for a database URL; nothing is opened yet.

    Args:
        database: `sqlite:///` and a path, which is taken literally: relative, or absolute with a fourth slash. Or
            `postgresql://` as libpq takes it.

    Raises:
        ConfigurationError: The URL names no database that can be used; the message says what is allowed.
            Only its scheme is repeated: the rest may hold a password.
    """
    scheme, separator, rest = database.partition("://")
    if separator and scheme == "sqlite":
        return _sqlite(database, rest)
    if separator and scheme in ("postgresql", "postgres"):
        return _postgres(database)
    given = f"{scheme}://" if separator else "a database without a scheme"
    raise ConfigurationError(f"{given} can't keep audit events: {_EXAMPLES}")


def redacted_url(database: str) -> str:
    """Return a database URL as logs may show it: without a password, and without options, which may hold one."""
    scheme, separator, rest = database.partition("://")
    if scheme == "sqlite":
        return database
    account, at, place = rest.partition("?")[0].rpartition("@")
    user, colon, _ = account.partition(":")
    return f"{scheme}{separator}{user}{colon and ':***'}{at}{place}"


def _sqlite(database: str, rest: str) -> Backend:
    if not rest.startswith("/"):
        raise ConfigurationError(f"sqlite:// has no host, and {database!r} names one: {_EXAMPLES}")

    path = rest[1:]
    if path in ("", ":memory:"):
        raise ConfigurationError(f"{database!r} would forget its events when it stops; name a file: {_EXAMPLES}")
    if "?" in path or "\0" in path:
        raise ConfigurationError(f"{database!r} has a character that a path here can't have; options aren't taken")
    return SqliteBackend(Path(path))


def _postgres(database: str) -> Backend:
    try:
        # its packages are an extra, and take a while to import
        from signal_gateway.datastorage.postgres.backend import PostgresBackend
    except ImportError as exc:
        raise ConfigurationError(
            f"postgresql:// needs the extra `postgres` ({exc}): pip install 'signal-gateway[postgres]'"
        ) from exc
    return PostgresBackend(database)
