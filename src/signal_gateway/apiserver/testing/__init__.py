"""For tests: faults on demand, and the log of requests."""
