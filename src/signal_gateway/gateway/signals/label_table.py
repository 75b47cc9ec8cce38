"""LabelTable: the tables of `knowledge` and `exporters`, extended by a setting."""

from collections.abc import Mapping
from typing import Final

from signal_gateway.gateway.config import TargetsConfig
from signal_gateway.gateway.signals.exporters import EXPORTERS, NAMING_LABELS, Exporter
from signal_gateway.gateway.signals.knowledge import NAMESPACE_LABELS, SYNONYMS, Synonym
from signal_gateway.gateway.signals.signal import MAX_NAMESPACE_LENGTH, excerpt, is_namespace

__all__ = ["SCRAPE_LABELS", "LabelTable", "namespace_from_labels", "normal"]

SCRAPE_LABELS: Final = frozenset({"instance", "endpoint", "service"})
"""Labels of the scrape target; an aggregation drops them, and keeps those of the object."""


class LabelTable:
    """The tables of `knowledge`, extended by a setting.

    Args:
        config: The extensions.
    """

    def __init__(self, config: TargetsConfig | None = None) -> None:
        config = config or TargetsConfig()
        own = tuple(Synonym(label, (kind,)) for label, kind in config.labels.items())
        self.ignored = frozenset(config.ignored_labels)
        self.synonyms = {it.label: it for it in (*SYNONYMS, *own) if it.label not in self.ignored}
        self.exporters = (
            *(
                Exporter(
                    name,
                    it.speaks_of,
                    matches=tuple(normal(part) for part in it.matches),
                    names_pods=it.names_pods,
                    labels={label: (kind,) for label, kind in it.labels.items()},
                )
                for name, it in config.exporters.items()
            ),
            *EXPORTERS,
        )

    def exporter(self, labels: Mapping[str, str]) -> Exporter | None:
        """Return the exporter whose series has these labels; None for one that speaks of its own pod."""
        naming = NAMING_LABELS if SCRAPE_LABELS & labels.keys() else NAMING_LABELS[:1]
        for label in naming:
            if labels.get(label):
                part = normal(labels[label])
                for exporter in self.exporters:
                    if part in exporter.jobs or any(match in part for match in exporter.matches):
                        return exporter
        name, path = labels.get("alertname", ""), labels.get("metrics_path", "")
        for exporter in self.exporters:
            if path and path in exporter.metrics_paths:
                return exporter
            has_label = not labels.keys().isdisjoint(exporter.series_labels)
            if has_label or name.startswith(exporter.alerts or "\0"):
                return exporter
        return None


def namespace_from_labels(labels: Mapping[str, str]) -> str | None:
    """Return the namespace from the labels; `exported_namespace` wins over `namespace`.

    Raises:
        ValueError: The label is not a valid name of a namespace.
    """
    for label in NAMESPACE_LABELS:
        namespace = labels.get(label)
        if namespace and not is_namespace(namespace):
            raise ValueError(
                f"{label}={excerpt(namespace)} cannot be a namespace, which has at most {MAX_NAMESPACE_LENGTH}"
                " characters, only lower-case letters, digits and '-', and begins and ends with a letter or digit"
                " (RFC 1123)"
            )
        if namespace:
            return namespace
    return None


def normal(text: str) -> str:
    """Return a name in the form in which names of exporters are compared."""
    return text.lower().replace("_", "-")
