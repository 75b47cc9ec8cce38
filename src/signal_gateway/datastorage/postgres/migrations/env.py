"""Runs revisions on the connection and in the transaction that `postgres_schema` hands over."""

from alembic import context

from signal_gateway.datastorage.postgres.schema import VERSION_TABLE

context.configure(connection=context.config.attributes["connection"], version_table=VERSION_TABLE)
context.run_migrations()
