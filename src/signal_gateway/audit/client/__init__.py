"""The HTTP client of DataStorage.

`client` (delivery, queries, checks) → `url`, `token` (rules for its arguments) → `query` (filters, pages, limits),
`cases` → `results` (responses to a batch) and `transport` (HTTP over sockets of its own, with the certificates of
`tls`).
"""
