"""Live gateways and services, and the payloads that tests send to them.

- `go_text`: times and quoted strings in the format of Go programs
- `payloads`: webhooks of Alertmanager and Kubernetes Events
- `captured`: reads captured payloads from a file
- `live`: `LiveGateway`, a gateway on a real socket
- `service_store`: the audit store that a live service receives
- `factory`: creates the live gateways and live services of a test
"""
