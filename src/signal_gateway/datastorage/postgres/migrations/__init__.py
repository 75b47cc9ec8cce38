"""Alembic's environment and the revisions of the PostgreSQL schema, for `datastorage.postgres_schema`."""
