"""Parts that every HTTP service shares.

In the order of a request: `serving` (sockets, protocol, server), `middleware` (standard, body limit, authentication),
`credentials` and `token_file` (for authentication), `json_body`, `problem` (error responses), `response_headers`.
Beside the requests: `openapi`, `logs`, `secrets`.
"""
