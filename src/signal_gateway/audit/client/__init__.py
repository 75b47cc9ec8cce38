"""The HTTP client of DataStorage.

`client` (delivery, queries, checks) → `url`, `token` (rules for its arguments) → `query` (filters, pages, limits) and
`paging` (the place in a query), `cases` → `results` (responses to a batch), `translation` (types of events for a
DataStorage that knows other ones) and `transport` (HTTP over sockets of its own, with the certificates of `tls`).
"""
