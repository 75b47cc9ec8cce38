"""all_adapters: the built-in adapters of a gateway and your own; load_adapters: import adapters by name."""

import importlib
import re
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, Final

from signal_gateway.errors import ConfigurationError
from signal_gateway.gateway.config import ProcessingConfig
from signal_gateway.gateway.signals.adapter import Adapter
from signal_gateway.gateway.signals.alertmanager import AlertmanagerAdapter, DiscoveredKinds
from signal_gateway.gateway.signals.kubernetes_event import KubernetesEventAdapter
from signal_gateway.gateway.signals.label_table import LabelTable

__all__ = ["all_adapters", "load_adapters"]

_NAME: Final = re.compile(r"(?=.{1,63}\Z)[a-z0-9]+(-[a-z0-9]+)*")  # signalSource takes 63 characters
_BUILT_IN: Final = (AlertmanagerAdapter.name, KubernetesEventAdapter.name)


def all_adapters(config: ProcessingConfig, own: Sequence[Adapter], *, discovery: DiscoveredKinds) -> list[Adapter]:
    """Return the built-in adapters, followed by your own.

    Args:
        config: The settings of the built-in adapters.
        own: Your own adapters.
        discovery: The kinds of the cluster.

    Raises:
        ValueError: Two adapters have the same name, or a name is not a valid part of a path.
    """
    _check_names(adapter.name for adapter in own)
    return [
        AlertmanagerAdapter(
            discovery=discovery,
            table=LabelTable(config.targets),
            multi_cluster=config.multi_cluster,
            cluster_signals=config.cluster_signals,
        ),
        KubernetesEventAdapter(max_age=timedelta(seconds=config.event_max_age)),
        *own,
    ]


def load_adapters(references: Iterable[str]) -> list[Adapter]:
    """Import adapters.

    Args:
        references: `package.module:name` of each adapter, its class, or a function without arguments that returns it.

    Raises:
        ConfigurationError: An adapter cannot be imported, lacks an attribute, or has a name that is taken or not valid.
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
            f"adapters: cannot import {reference}: {exc}. Install it, or add its folder to PYTHONPATH"
        ) from exc
    is_factory = isinstance(found, type) or (callable(found) and not hasattr(found, "parse"))
    adapter: Any = found() if is_factory else found
    missing = [part for part in ("name", "signal_type", "parse") if not hasattr(adapter, part)]
    if missing:
        raise ConfigurationError(f"adapters: {reference} is not an adapter: it lacks {', '.join(missing)}")
    loaded: Adapter = adapter
    return loaded


def _check_names(names: Iterable[str]) -> None:
    taken = set(_BUILT_IN)
    for name in names:
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"the adapter name {name!r} is not valid: use letters a-z, digits and hyphens, such as my-source"
            )
        if name in taken:
            raise ValueError(f"two adapters have the name {name!r}: rename one of them")
        taken.add(name)
