"""The PostgreSQL schema: brought up to date by Alembic, by one process at a time."""

import logging
from typing import Any

import psycopg
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, NullPool, create_engine, text
from sqlalchemy.exc import DBAPIError

from signal_gateway.datastorage.postgres.url import described
from signal_gateway.errors import DataStorageError

__all__ = ["VERSION_TABLE", "migrate"]

VERSION_TABLE = "audit_events_version"
"""Where Alembic notes the revision: a name of our own, as another application may keep its own beside it."""

_OLDEST_SERVER = 130000
_LOCK = 0x5347_4154  # an arbitrary key, which only our own processes take

_log = logging.getLogger(__name__)


def migrate(parameters: dict[str, Any], *, lock_timeout: float) -> None:
    """Bring a database's schema up to this release, in one transaction; blocks.

    Of processes that start at once one migrates, and the others wait for it.

    Args:
        parameters: Of `psycopg.connect`.
        lock_timeout: How long to wait for another process, in seconds.

    Raises:
        DataStorageError: The database can't be reached or used, or belongs to something else, or is of a newer
            release. It is left as it was.
    """
    name = described(parameters)
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(**parameters), poolclass=NullPool)
    try:
        with engine.begin() as connection:
            connection.execute(
                text("SELECT set_config('lock_timeout', :ms, true)"), {"ms": f"{lock_timeout * 1000:.0f}"}
            )
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            _check_server(connection, name)
            _upgrade(connection, name)
    except (psycopg.Error, DBAPIError) as exc:
        cause = exc.orig if isinstance(exc, DBAPIError) else exc
        if isinstance(cause, psycopg.errors.LockNotAvailable):
            raise DataStorageError(
                f"another process has been preparing {name} for more than {lock_timeout} s; start again when it is done"
            ) from exc
        raise DataStorageError(f"can't use {name}: {' '.join(str(cause).split())}") from exc


def _check_server(connection: Connection, name: str) -> None:
    settings = {
        setting: connection.execute(text("SELECT current_setting(:name)"), {"name": setting}).scalar_one()
        for setting in ("server_version_num", "server_encoding", "fsync", "full_page_writes")
    }
    if int(settings["server_version_num"]) < _OLDEST_SERVER:
        raise DataStorageError(f"{name} is older than PostgreSQL 13; use a newer server")
    if settings["server_encoding"] != "UTF8":
        raise DataStorageError(
            f"{name} has the encoding {settings['server_encoding']} and can't hold every text; "
            "make one with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
        )
    if off := [setting for setting in ("fsync", "full_page_writes") if settings[setting] != "on"]:
        _log.warning("%s runs with %s=off: a crash of its machine may lose acknowledged events", name, off[0])


def _upgrade(connection: Connection, name: str) -> None:
    config = Config()
    config.set_main_option("script_location", "signal_gateway.datastorage.postgres:migrations")
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}

    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    found = set(context.get_current_heads())
    if found - known:
        raise DataStorageError(
            f"{name} has schema revision {', '.join(sorted(found))} and this release knows up to {max(known)}; "
            "use the release that made it, or name another database"
        )
    if not found and connection.execute(text("SELECT to_regclass('audit_events')")).scalar_one() is not None:
        raise DataStorageError(
            f"{name} has a table audit_events that signal-gateway did not make; name another database, or another "
            "schema with ?options=-csearch_path%3D…"
        )
    command.upgrade(config, "head")
