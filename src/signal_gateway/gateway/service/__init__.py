"""The gateway as a service: settings, one process, one audit store, one event loop.

`setting_source`, `setting_errors`, `config` (settings and their sources), `setting_listing` (settings as a list),
`check` (what the service needs from its machine), `process` (the service itself).
"""
