"""The SQLite backend.

Modules, in the order of a call: `backend` (the calls), `readers` (connections for queries), `queries` (their
statements), `connection` (connections and their threads), `chain` (links), `schema` (revisions of a file).
"""
