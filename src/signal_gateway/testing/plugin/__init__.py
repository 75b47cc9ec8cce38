"""The bodies of the hooks and fixtures of the pytest plugin, usable without pytest.

- `preload`: imports before a test can patch
- `settings`: the settings of a session, each with its source
- `session`: `SessionHarness`, the hooks of a session
- `suite`: the DataStorage and the audit store that the tests of a process share
- `guards`: warnings about state that tests share by accident
- `live_servers`: the live gateways and services of one test
- `outage`: a DataStorage for one test that can be stopped and started
- `failure_report`: sections for the report of a failed test
- `spool_directory`: creates and removes the spool directories of a run
- `delivery`: the last delivery of an audit store
- `forked_children`: the verdicts and spools of forked children
- `verdict`: the numbers of delivered, rejected, pending and refused events
"""
