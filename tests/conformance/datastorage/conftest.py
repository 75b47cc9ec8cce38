"""The databases of the unit tests, each empty and in turn."""

from tests.unit.datastorage.conftest import (
    database,
    event,
    make_wire_event,
    postgres_database,
    postgres_server,
    postgres_template,
    postgres_url,
    serve,
    write_tokens,
)

__all__ = [
    "database",
    "event",
    "make_wire_event",
    "postgres_database",
    "postgres_server",
    "postgres_template",
    "postgres_url",
    "serve",
    "write_tokens",
]
