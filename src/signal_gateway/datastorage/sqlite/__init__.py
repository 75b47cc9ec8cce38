"""The SQLite backend.

Modules, in the order of a call: `backend` (statements), `connection` (connections and their threads), `schema`
(revisions of a file).
"""
