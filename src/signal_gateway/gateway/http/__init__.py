"""The HTTP layer of a gateway.

- `middleware`: observation and admission, before every route.
- `authentication`, `token_review`: the senders of signals.
- `endpoint`: `SignalEndpoint`, the route of one source.
- `admission`: `MemoryBudget`, the memory of the requests in flight.
- `responses`, `response_models`: problems, and the bodies of responses.
- `health`: liveness, readiness and metrics.
- `openapi`: the description of the API.
"""
