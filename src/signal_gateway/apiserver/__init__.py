"""An embedded Kubernetes API server for tests and local work. Depends on no other room but `web`."""

from signal_gateway.apiserver.auth.access import Rule, User
from signal_gateway.apiserver.server import ApiServer, create_apiserver
from signal_gateway.apiserver.testing.faults import Fault, Faults
from signal_gateway.apiserver.testing.request_log import LogEntry, RequestLog

__all__ = ["ApiServer", "Fault", "Faults", "LogEntry", "RequestLog", "Rule", "User", "create_apiserver"]
