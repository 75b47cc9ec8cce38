"""The stateless gateway service."""
