"""The audit events of a gateway.

- `events`: builds the events, within their limits of size.
- `recorder`: `AuditRecorder`, which records them in the audit store.
"""
