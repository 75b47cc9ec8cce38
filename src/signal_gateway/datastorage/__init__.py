"""DataStorage: the service that keeps audit events."""
