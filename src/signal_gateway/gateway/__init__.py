"""The gateway: receives signals and creates RemediationRequests.

- `service`: the process with its configuration.
- `factory`: `create_gateway` and `Gateway`.
- `wiring`: `build_pipeline`, which assembles all parts of a gateway.
- `http`: the request, until its body is read, and the response.
- `signals`: from a payload to signals.
- `remediation`: from a signal to its outcome.
- `targets`: from the object that a signal names to the workload.
- `audit`: the audit events.
- `resilience`: the calls to the Kubernetes API.
- `lifecycle`: the state of a gateway.
- `config`, `overrides`, `setting_errors`: the settings, their types as nested dicts, and their errors for readers.
- `metrics`: the metrics.
"""
