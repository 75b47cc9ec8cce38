"""The HTTP layer of a gateway.

- `admission`: which requests enter: their number, their memory, and the monitor of every request.
- `authentication`, `token_review`: the senders of signals.
- `endpoint`: `SignalEndpoint`, the route of one source.
- `responses`, `response_models`: problems, and the bodies of responses.
- `health`: liveness, readiness and metrics.
- `openapi`: the description of the API.
"""
