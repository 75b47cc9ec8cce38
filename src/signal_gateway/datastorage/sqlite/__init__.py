"""The SQLite backend.

Modules, in the order of a call: `backend` (statements), `thread` (the thread of a connection), `schema` (connections
and revisions of a file).
"""
