"""The HTTP API of DataStorage.

Modules, in the order of a request: `authentication`, `api` (the endpoints, bodies to rows), `cases`, `integrity`,
`disconnection` (ends the work for a client that is gone), `response_models`, `export` (streams), and `openapi`, the
description of all of them.
"""
