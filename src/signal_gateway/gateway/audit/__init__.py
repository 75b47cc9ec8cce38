"""The audit events of a gateway: their content (`truncate`, `events`) and recording (`recorder`, `creation_audit`)."""
