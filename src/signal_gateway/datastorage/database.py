"""Database URLs: the choice of a backend, and the redacted form for logs."""

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
    """Return the backend for a database URL, without opening the database.

    Args:
        database: `sqlite:///` and a literal path: relative, or absolute with a fourth slash. Or a `postgresql://` URL
            of libpq.

    Raises:
        ConfigurationError: The URL is not valid. The message shows the allowed forms and repeats only the scheme,
            because the rest may have a password.
    """
    scheme, separator, rest = database.partition("://")
    if separator and scheme == "sqlite":
        return _sqlite(database, rest)
    if separator and scheme in ("postgresql", "postgres"):
        return _postgres(database)
    given = f"the scheme {scheme}://" if separator else "a database URL without a scheme"
    raise ConfigurationError(f"{given} is not supported: {_EXAMPLES}")


def redacted_url(database: str) -> str:
    """Return a database URL for logs: without its password, and without options, which may have one."""
    scheme, separator, rest = database.partition("://")
    if scheme == "sqlite":
        return database
    account, at, place = rest.partition("?")[0].rpartition("@")
    user, colon, _ = account.partition(":")
    return f"{scheme}{separator}{user}{colon and ':***'}{at}{place}"


def _sqlite(database: str, rest: str) -> Backend:
    if not rest.startswith("/"):
        raise ConfigurationError(f"{database!r} has a host, and an sqlite:// URL has none: {_EXAMPLES}")

    path = rest[1:]
    if path in ("", ":memory:"):
        raise ConfigurationError(f"{database!r} would lose its events at the stop; name a file: {_EXAMPLES}")
    if "?" in path or "\0" in path:
        raise ConfigurationError(f"{database!r} has a ? or NUL: a path cannot have these, options are not supported")
    return SqliteBackend(Path(path))


def _postgres(database: str) -> Backend:
    try:
        # its packages are an extra, and slow to import
        from signal_gateway.datastorage.postgres.backend import PostgresBackend
    except ImportError as exc:
        raise ConfigurationError(
            f"postgresql:// needs the extra `postgres` ({exc}): pip install 'signal-gateway[postgres]'"
        ) from exc
    return PostgresBackend(database)
