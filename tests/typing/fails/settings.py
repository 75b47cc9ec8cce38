"""Wrong settings. Each line with the comment `# error` is one, for each type checker, and no other line is."""

from signal_gateway import GatewayConfig
from signal_gateway.audit import AuditStoreConfig
from signal_gateway.gateway.config import ProcessingConfig
from signal_gateway.testing import GatewayFactory

GatewayConfig(procesing={"scope": {"enabled": False}})  # error: misspelt key
GatewayConfig(processing={"skope": {"enabled": False}})  # error: misspelt nested key
GatewayConfig(processing={"scope": {"enabld": False}})  # error: misspelt innermost key
GatewayConfig(processing={"request_deadline": "soon"})  # error: not a number
GatewayConfig(processing=None)  # error: no settings
ProcessingConfig(scope={"enabled": "maybe"})  # error: not a boolean
AuditStoreConfig(spool_directory=7)  # error: no path
AuditStoreConfig(durability="memori")  # error: misspelt value


def test_factory(gateway_factory: GatewayFactory) -> None:
    gateway_factory(procesing={"retry": {"max_attempts": 1}})  # error: misspelt key
    gateway_factory(processing={"retry": {"max_atempts": 1}})  # error: misspelt nested key
    gateway_factory(processing={"retry": {"max_attempts": "1"}})  # error: not an integer
