"""Live gateways and services, and the payloads that tests send to them.

- `go_text`: times and quoted strings in the format of Go programs
- `payloads`: webhooks of Alertmanager and Kubernetes Events
- `captured`: reads captured payloads from a file
- `live`: `LiveGateway`, a gateway on a real socket
- `shapes`: tells applications, context managers and factories apart
- `application`: `ServedApplication`, the application behind a factory or context manager
- `aiohttp_server`: serves an application of aiohttp
- `hosting`: chooses the HTTP server of a service
- `service_audit`: the audit store and the DataStorage of a service
- `service`: `LiveService`, a service of your own on a real socket
- `serving`: `serve`, without pytest
- `service_store`: the audit store that a live service receives
- `factory`: creates the live gateways and live services of a test
"""
