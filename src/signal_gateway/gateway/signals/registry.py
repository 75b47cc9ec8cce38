"""Which adapters a gateway has: those of its own, and those that somebody else's code brings."""

import importlib
import re
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final

from signal_gateway.errors import ConfigurationError
from signal_gateway.gateway.config import ProcessingConfig
from signal_gateway.gateway.signals.adapter import Adapter
from signal_gateway.gateway.signals.alertmanager import AlertmanagerAdapter, KindSource
from signal_gateway.gateway.signals.kubernetes_event import KubernetesEventAdapter

__all__ = ["all_adapters", "load_adapters"]

_NAME: Final = re.compile(r"(?=.{1,63}\Z)[a-z0-9]+(-[a-z0-9]+)*")  # signalSource takes 63 characters
_BUILT_IN: Final = (AlertmanagerAdapter.name, KubernetesEventAdapter.name)


def all_adapters(config: ProcessingConfig, own: Sequence[Adapter], *, discovery: KindSource) -> list[Adapter]:
    """Return the gateway's adapters and others.

    Args:
        config: How signals are read.
        own: The others.
        discovery: The kinds of the cluster.

    Raises:
        ValueError: Two have the same name, or one's name is no part of a path.
    """
    _check_names(adapter.name for adapter in own)
    return [
        AlertmanagerAdapter(discovery=discovery, multi_cluster=config.multi_cluster),
        KubernetesEventAdapter(max_age=timedelta(seconds=config.event_max_age)),
        *own,
    ]


def load_adapters(references: Iterable[str]) -> list[Adapter]:
    """Import adapters.

    Args:
        references: Each `package.module:name`, of an adapter or of what makes one without arguments.

    Raises:
        ConfigurationError: One can't be imported, or is no adapter, or its name is taken or no part of a path.
    """
    adapters = [_load(reference) for reference in references]
    try:
        _check_names(adapter.name for adapter in adapters)
    except ValueError as exc:
        raise ConfigurationError(f"adapters: {exc}") from exc
    return adapters


def _load(reference: str) -> Adapter:
    module, _, name = reference.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, SyntaxError) as exc:
        raise ConfigurationError(
            f"adapters: {reference} can't be imported: {exc}; install it, or put its folder into PYTHONPATH"
        ) from exc
    makes_one = isinstance(found, type) or (callable(found) and not hasattr(found, "parse"))
    adapter = found() if makes_one else found
    missing = [part for part in ("name", "signal_type", "parse") if not hasattr(adapter, part)]
    if missing:
        raise ConfigurationError(f"adapters: {reference} is no adapter: it has no {', no '.join(missing)}")
    loaded: Adapter = adapter
    return loaded


def _check_names(names: Iterable[str]) -> None:
    taken = set(_BUILT_IN)
    for name in names:
        if not _NAME.fullmatch(name):
            raise ValueError(f"an adapter is called {name!r}: its name is a part of a path, such as my-source")
        if name in taken:
            raise ValueError(f"two adapters are called {name!r}: a name can be taken once")
        taken.add(name)
