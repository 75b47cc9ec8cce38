"""An embedded Kubernetes API server for tests and local work. Of the other rooms it imports only `web`.

- `server`: the ASGI application and its assembly.
- `testing`: fault injection and the request log.
- `handlers`: the handlers of requests for resources, by verb.
- `auth`: authentication and authorization.
- `discovery`: discovery documents and OpenAPI.
- `controllers`: consequences of writes and deletions.
- `kinds`: the built-in kinds.
- `apiextensions`: CustomResourceDefinitions.
- `storage`: the objects and their changes.
- `apimachinery`: the common terms of all kinds, such as metadata, selectors and `Status`.
"""

from signal_gateway.apiserver.auth.authentication import User
from signal_gateway.apiserver.auth.authorization import Rule
from signal_gateway.apiserver.server import ApiServer, create_apiserver
from signal_gateway.apiserver.testing.faults import Fault, Faults
from signal_gateway.apiserver.testing.request_log import LogEntry, RequestLog

__all__ = ["ApiServer", "Fault", "Faults", "LogEntry", "RequestLog", "Rule", "User", "create_apiserver"]
