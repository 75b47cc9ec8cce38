"""The HTTP API of DataStorage.

Modules, in the order of a request: `authentication`, `api` (the endpoints, bodies to rows),
`response_models`, `export` (streams), `cases`, `integrity` (verifications and legal holds), and `openapi`,
the description of all of them.
"""
