"""DataStorage: the service that keeps audit events.

Modules, in the order of the data: `service` runs the application that `factory` builds. `http` parses requests with
events into rows of `record`, and queries with `query`. `backend` is the interface of the databases: `database` selects
`sqlite` or `postgres`, which share `select`, `cases` and `migration`. `integrity` has the chain of links, which
`verify` checks. `retention` deletes expired events, `viewer` shows the events as HTML pages, `tokens` grants access,
and `metrics` counts.
"""

from signal_gateway.datastorage.factory import DataStorage, create_datastorage

__all__ = ["DataStorage", "create_datastorage"]
