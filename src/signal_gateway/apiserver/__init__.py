"""An embedded Kubernetes API server for tests and local work. Depends on no other room but `web`."""

from signal_gateway.apiserver.faults import Fault, Faults
from signal_gateway.apiserver.request_log import LogEntry, RequestLog
from signal_gateway.apiserver.server import ApiServer, create_apiserver

__all__ = ["ApiServer", "Fault", "Faults", "LogEntry", "RequestLog", "create_apiserver"]
