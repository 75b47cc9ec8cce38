"""Parts that every HTTP service shares.

In the order of a request: `serving` (sockets, protocol, server), `middleware` (standard, authentication),
`credentials` and `token_file` (for authentication), `body` (its limits, and JSON), `problem` (error responses),
`response_headers`, `disconnection` (ends the work for a client that is gone).
Beside the requests: `metrics_page`, `openapi`, `logs`, `secrets`.
"""
