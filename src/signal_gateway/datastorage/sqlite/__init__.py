"""The SQLite backend.

Modules, in the order of a call: `backend` (statements), `queries`, `readers` (connections
for queries at the same time), `connection` (connections and their threads), `chain` (the
links of a file), `schema` (revisions of a file).
"""
