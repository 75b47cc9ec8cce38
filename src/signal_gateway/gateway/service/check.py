"""check_service(): checks what a service needs from its machine, before its start."""

from collections.abc import Callable, Iterator

from signal_gateway.audit.client.token import read_token
from signal_gateway.audit.wal.directory import check_spool_directory
from signal_gateway.errors import ConfigurationError, SignalGatewayError
from signal_gateway.gateway.http.authentication import TokenAuthenticator
from signal_gateway.gateway.service.config import ServiceConfig
from signal_gateway.gateway.signals.registry import load_adapters
from signal_gateway.kubernetes import KubernetesClient

__all__ = ["check_service"]


def check_service(config: ServiceConfig) -> None:
    """Check the files, the spool directory and the adapters of a service. Nothing is changed, started or connected.

    The service account of a pod is not checked: it exists in the pod alone.

    Args:
        config: The settings.

    Raises:
        SignalGatewayError: Something is not usable; the message lists everything that is not.
    """
    problems = []
    for check in _checks(config):
        try:
            check()
        except SignalGatewayError as exc:
            problems.append(exc)
    if len(problems) == 1:
        raise problems[0]
    if problems:
        lines = "\n".join(f"  {problem}" for problem in problems)
        raise ConfigurationError(f"the service cannot start with this configuration:\n{lines}")


def _checks(config: ServiceConfig) -> Iterator[Callable[[], object]]:
    yield config.server.tls.load
    yield lambda: load_adapters(config.adapters)
    senders, token_file = config.auth.token_file, config.audit.token_file
    if senders is not None:
        yield lambda: TokenAuthenticator(senders)
    if token_file is not None:
        yield lambda: read_token(token_file, source="audit.token_file")
    kubeconfig, spool_directory = config.kubernetes.kubeconfig, config.audit.spool_directory
    if kubeconfig is not None:
        yield lambda: KubernetesClient.from_kubeconfig(kubeconfig)
    if spool_directory is not None:
        yield lambda: check_spool_directory(spool_directory)
