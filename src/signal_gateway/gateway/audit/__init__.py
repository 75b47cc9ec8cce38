"""The audit events of a gateway: what each one says, and how it reaches the audit store."""
