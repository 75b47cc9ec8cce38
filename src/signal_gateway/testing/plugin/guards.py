"""Isolation guards: errors and warnings about state that the servers of one process share by accident."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry

from signal_gateway.audit.lifetime import open_stores
from signal_gateway.errors import HarnessError
from signal_gateway.testing.plugin.suite import Suite

__all__ = ["IsolationWarning", "guarded", "isolated_registry", "refuse_multiprocess_metrics"]

_MULTIPROCESS_VARIABLES: Final = ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir")


class IsolationWarning(UserWarning):
    """A test left state behind that all other tests of the process share."""


def refuse_multiprocess_metrics(environ: Mapping[str, str]) -> None:
    """Refuse the multiprocess mode of prometheus_client, in which new registries share their values.

    Raises:
        HarnessError: The mode is on. The message names the variable and the remedies.
    """
    for variable in _MULTIPROCESS_VARIABLES:
        if variable in environ:
            raise HarnessError(
                f"the environment variable {variable} is set to {environ[variable]!r}: with it, all metrics registries"
                " of a process share their values. Unset it for the tests, or set gateway_multiprocess_metrics = true"
                " to accept shared metrics"
            )


@contextmanager
def guarded(suite: Suite, *, is_registry_restored: bool = False) -> Iterator[None]:
    """Warn about metrics in the global registry and open audit stores that a block leaves behind.

    Args:
        suite: The suite with the known stores; a store is added with its warning.
        is_registry_restored: Whether the global registry is restored after the test.
    """
    before = set(REGISTRY._names_to_collectors)
    yield
    left = sorted(set(REGISTRY._names_to_collectors) - before)
    if left and not is_registry_restored:
        warnings.warn(
            f"new in the global prometheus_client.REGISTRY: {', '.join(left)}; the next test that creates them fails"
            " with duplicated time series. Register metrics in the registry of the service, or use the fixture"
            " gateway_isolated_registry",
            IsolationWarning,
            stacklevel=2,
        )
    for store in open_stores():
        if store not in suite.known_stores:
            suite.known_stores.add(store)
            warnings.warn(
                f"a second audit store with a flusher is open in this process: {store.service!r}, created at"
                f" {store.made_at}. Use the store of gateway_audit_store, or close this one",
                IsolationWarning,
                stacklevel=2,
            )


@contextmanager
def isolated_registry() -> Iterator[CollectorRegistry]:
    """Restore the global registry after a block: remove new collectors, and register removed ones again."""
    before = list(REGISTRY._collector_to_names)
    try:
        yield REGISTRY
    finally:
        now = list(REGISTRY._collector_to_names)
        for collector in now:
            if collector not in before:
                REGISTRY.unregister(collector)
        for collector in before:
            if collector not in now:
                REGISTRY.register(collector)
