"""Live gateways and the payloads that tests send."""
