"""DataStorage for tests.

- `embedded`: `EmbeddedDataStorage`, a real DataStorage that you can stop and start
- `on_demand`: starts an embedded DataStorage at the first connection
- `recording`: `RecordingAuditStore`, an audit store in memory for unit tests
"""
