"""Guards of isolation: what servers of one process would share in silence is refused or warned of."""

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
    """Something that a test left is shared with every other test of the process."""


def refuse_multiprocess_metrics(environ: Mapping[str, str]) -> None:
    """Refuse prometheus_client's multiprocess mode, in which fresh registries share their values.

    Raises:
        HarnessError: It is on; names the variable and the remedies.
    """
    for variable in _MULTIPROCESS_VARIABLES:
        if variable in environ:
            raise HarnessError(
                f"the environment variable {variable} is set, to {environ[variable]!r}: with it every registry of a"
                " process shares its values with the others, so no gateway's metrics are its own. Unset it for the"
                " tests, or say gateway_multiprocess_metrics = true and live with it"
            )


@contextmanager
def guarded(suite: Suite, *, is_registry_restored: bool = False) -> Iterator[None]:
    """Warn of what a block leaves behind: metrics in the global registry, audit stores that nobody closed.

    Args:
        suite: Knows the stores that may be open; those that were warned of are added.
        is_registry_restored: Whether somebody else takes what is left in the global registry away.
    """
    before = set(REGISTRY._names_to_collectors)
    yield
    left = sorted(set(REGISTRY._names_to_collectors) - before)
    if left and not is_registry_restored:
        warnings.warn(
            f"new in the global prometheus_client.REGISTRY: {', '.join(left)}; the next test that makes them anew fails"
            " with duplicated timeseries. Register metrics with the registry that you are given, or use the fixture"
            " gateway_isolated_registry",
            IsolationWarning,
            stacklevel=2,
        )
    for store in open_stores():
        if store not in suite.known_stores:
            suite.known_stores.add(store)
            warnings.warn(
                f"a second audit store with a flusher of its own is open in this process: {store.service!r}, made at"
                f" {store.made_at}. Take the one of gateway_audit_store, or close it",
                IsolationWarning,
                stacklevel=2,
            )


@contextmanager
def isolated_registry() -> Iterator[CollectorRegistry]:
    """Restore the global registry after a block: collectors added are gone, collectors removed are back."""
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
