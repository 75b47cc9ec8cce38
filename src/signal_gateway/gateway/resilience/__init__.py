"""Calls to the Kubernetes API that fail: bounded concurrency, retries, circuit breaker."""
