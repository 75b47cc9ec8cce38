"""The audit events of a gateway.

- `events`: builds the events.
- `truncate`: limits their size.
- `recorder`: `AuditRecorder`, which records them in the audit store.
"""
