"""The PostgreSQL backend.

Modules, in the order of the data: `url` (connection parameters), `schema` (revisions), `chain` (links), `insert`,
`queries`, `cancellation`, `backend` (the other statements).
"""
