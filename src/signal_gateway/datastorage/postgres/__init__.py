"""The PostgreSQL backend.

Modules, in the order of the data: `url` (connection parameters), `schema` (revisions), `backend` (statements).
"""
