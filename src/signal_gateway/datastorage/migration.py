"""Migration: brings the schema of a database up to date, by numbered revisions in plain SQL."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from signal_gateway.errors import DataStorageError

__all__ = ["MigratableDatabase", "Revision", "check_version", "migrate"]


@dataclass(frozen=True, slots=True)
class Revision:
    """One step of the schema. A released revision never changes.

    Attributes:
        number: Revisions count from 1, without gaps.
        statements: SQL in the dialect of the database, in order.
        starts_chain: Whether the chain of links begins after the statements, with the events that are stored already.
    """

    number: int
    statements: tuple[str, ...]
    starts_chain: bool = False


class MigratableDatabase(Protocol):
    """A connection to a database that stores its own schema version."""

    @property
    def description(self) -> str:
        """The database as error messages show it, without a password."""
        ...

    def locked_transaction(self) -> AbstractContextManager[None]:
        """Enter a transaction that only one process at a time can hold.

        The transaction commits at the end, and rolls back if the block raises.
        """
        ...

    def version(self) -> int:
        """Return the number of the newest revision in the database; 0 if the database has no schema yet.

        Raises:
            DataStorageError: The database belongs to another application.
        """
        ...

    def execute(self, statement: str) -> None:
        """Execute one SQL statement without parameters."""
        ...

    def start_chain(self) -> None:
        """Seal the stored events with the first links of the chain."""
        ...

    def set_version(self, version: int) -> None:
        """Store the number of the newest revision."""
        ...


def migrate(database: MigratableDatabase, revisions: Sequence[Revision]) -> None:
    """Apply the revisions that the database does not have yet, in order, in one transaction under its lock.

    Of several processes that start at once, one migrates. The others wait for the lock and find nothing left to do.

    Args:
        database: The database.
        revisions: Every revision of this release, ordered by number.

    Raises:
        DataStorageError: The database has a newer version or belongs to another application. It stays unchanged.
    """
    with database.locked_transaction():
        version = database.version()
        check_version(database, version, revisions)
        for revision in revisions[version:]:
            for statement in revision.statements:
                database.execute(statement)
            if revision.starts_chain:
                database.start_chain()
            database.set_version(revision.number)


def check_version(database: MigratableDatabase, version: int, revisions: Sequence[Revision]) -> None:
    """Check that this release supports a schema version.

    Raises:
        DataStorageError: The version is unknown, most often because a newer release migrated the database.
    """
    if not 0 <= version <= len(revisions):
        raise DataStorageError(
            f"{database.description} has schema version {version}, this release supports up to {len(revisions)}; "
            "use the release that migrated it, or another database"
        )
