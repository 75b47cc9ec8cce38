"""Kubernetes for tests: embedded, or a namespace on a running cluster."""
