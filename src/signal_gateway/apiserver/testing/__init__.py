"""Fault injection and the request log, for tests.

- `faults`: the faults of a cluster, as a test defines them.
- `fault_injection`: applies faults to one request and its response.
- `request_log`: the newest requests.
"""
