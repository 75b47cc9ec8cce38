"""Candidates: the objects that the labels of an alert may name, by the tables of `knowledge` and by the exporter."""

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from signal_gateway.gateway.config import TargetsConfig
from signal_gateway.gateway.signals.adapter import excerpt
from signal_gateway.gateway.signals.knowledge import (
    ALERTS_WITHOUT_OBJECT,
    COMMON_WORDS,
    EXPORTED,
    EXPORTERS,
    GUESSED_KINDS,
    NAMESPACE_LABELS,
    NODE_LABELS,
    NOT_NAMING_LABELS,
    PAIRS,
    SYNONYMS,
    TARGET_LABELS,
    WORKLOAD_KINDS,
    Exporter,
    Pair,
    Synonym,
)
from signal_gateway.gateway.signals.signal import MAX_NAMESPACE_LENGTH, Target, is_namespace, is_object_name
from signal_gateway.kubernetes import Kind, Kinds

__all__ = ["Candidate", "LabelTable", "Lookup", "candidates_from_labels", "namespace_from_labels"]

Lookup = Literal["name", "node", "node_of_pod"]

_MAX_CANDIDATES: Final = 12
_NODE_EXPORTER_PORT: Final = "9100"
_MAY_BE_GONE: Final = frozenset({"Pod", *WORKLOAD_KINDS})
_CONTROLLERS: Final = WORKLOAD_KINDS[: WORKLOAD_KINDS.index("ReplicaSet")]
_ALERT_LABELS: Final = frozenset({"alertname", "severity", "prometheus", "prometheus_replica", "cluster", "endpoint"})

# the order of the candidates
_WORKLOAD, _OF_EXPORTER, _PAIR, _NAMED, _POD, _OWNER, _BY_ALERT, _WORD, _JOB, _ADDRESS, _NODE = range(0, 110, 10)


@dataclass(frozen=True, slots=True)
class Candidate(Target):
    """An object that labels may name, and the way to find it.

    Attributes:
        label: The label that names it.
        must_exist: Whether it is the target only if it exists. If not, it may have been deleted a moment ago.
        lookup: `name`: by kind and name. `node`: by the name or an address of a node. `node_of_pod`: name and namespace
            are a pod's, and the object is the node that it runs on.
        is_anywhere: Whether it is searched in all namespaces if it is not in its own.
        exporter: The exporter that is not the target: a pod of it is skipped. None to accept every pod.
        address: The IP address of the scrape target, to recognize the exporter's pod.
    """

    label: str = ""
    must_exist: bool = True
    lookup: Lookup = "name"
    is_anywhere: bool = False
    exporter: Exporter | None = None
    address: str = ""


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
                    matches=tuple(_normal(part) for part in it.matches),
                    names_pods=it.names_pods,
                    labels={label: (kind,) for label, kind in it.labels.items()},
                )
                for name, it in config.exporters.items()
            ),
            *EXPORTERS,
        )

    def exporter(self, labels: Mapping[str, str]) -> Exporter | None:
        """Return the exporter whose series has these labels; None for one that speaks of its own pod."""
        job = _normal(labels.get("job", ""))
        path = labels.get("metrics_path", "")
        parts = [job]
        if _is_series(labels):
            parts += [_normal(labels.get(label, "")) for label in ("service", "container", "pod")]
        for part in parts:
            for exporter in self.exporters:
                if part and (part in exporter.jobs or any(match in part for match in exporter.matches)):
                    return exporter
        name = labels.get("alertname", "")
        for exporter in self.exporters:
            if path and path in exporter.metrics_paths:
                return exporter
            if any(label in labels for label in exporter.series_labels) or name.startswith(exporter.alerts or "\0"):
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


def candidates_from_labels(labels: Mapping[str, str], kinds: Kinds, table: LabelTable) -> tuple[Candidate, ...]:
    """Return the candidates, the most likely first; the same labels always give the same candidates.

    Args:
        labels: All labels of the alert.
        kinds: The kinds of the cluster.
        table: The meaning of labels and exporters.
    """
    if labels.get("alertname") in ALERTS_WITHOUT_OBJECT:
        return ()
    if table.ignored:
        labels = {key: value for key, value in labels.items() if key not in table.ignored}
    reader = _Reader({key: value for key, value in labels.items() if value}, kinds, table)
    ranked = sorted(reader.candidates(), key=lambda ranked: ranked[0])
    found: dict[tuple[str, str, str | None, Lookup], Candidate] = {}
    for _, candidate in ranked:
        found.setdefault((candidate.kind, candidate.name, candidate.namespace, candidate.lookup), candidate)
    return tuple(found.values())[:_MAX_CANDIDATES]


_Ranked = tuple[int, Candidate]


class _Reader:
    """Reads the labels of one alert."""

    def __init__(self, labels: Mapping[str, str], kinds: Kinds, table: LabelTable) -> None:
        self._labels = labels
        self._kinds = kinds
        self._table = table
        self._exporter = table.exporter(labels)
        self._words = {key.removeprefix(EXPORTED) for key in labels}
        self._namespace = namespace_from_labels(labels)

    def candidates(self) -> Iterator[_Ranked]:
        yield from self._of_exporter()
        for word in sorted(self._words):
            yield from self._of_word(word)
        for pair in PAIRS:
            yield from self._of_pair(pair)
        yield from self._of_pod()
        yield from self._of_alert_name()
        yield from self._of_job()
        yield from self._of_nodes()

    def _get(self, word: str) -> str | None:
        """Return the series' own value of a label, which wins over the one of the scrape target."""
        return self._labels.get(EXPORTED + word) or self._labels.get(word)

    def _own_namespace(self, labels: tuple[str, ...]) -> str | None:
        for label in labels:
            namespace = self._get(label)
            if namespace and is_namespace(namespace):
                return namespace
        return self._namespace

    def _kind(self, name: str) -> Kind | None:
        short, dot, _ = name.partition(".")
        return self._kinds.called(name.lower()) or (self._kinds.called(short.lower()) if dot else None)

    def _candidate(
        self,
        kind: Kind,
        name: str,
        label: str,
        *,
        namespaces: tuple[str, ...] = (),
        says_kind: bool = False,
        is_anywhere: bool = False,
    ) -> Iterator[Candidate]:
        """Yield the candidate if the name is possible; `namespace/name` is a name of a namespaced kind."""
        namespace = self._own_namespace(namespaces) if kind.is_namespaced else None
        within, slash, local = name.partition("/")
        if slash and kind.is_namespaced and is_namespace(within):
            namespace, name = within, local
        if not is_object_name(name):
            return
        yield Candidate(
            kind.name,
            name,
            namespace,
            kind.api_version,
            label=label,
            must_exist=not says_kind or kind.name not in _MAY_BE_GONE or namespace is None,
            is_anywhere=is_anywhere,
        )

    def _of_exporter(self) -> Iterator[_Ranked]:
        exporter = self._exporter
        for label, names in (exporter.labels if exporter is not None else {}).items():
            value = self._get(label)
            if exporter is None or value is None:
                continue
            if label in NODE_LABELS:
                yield _OF_EXPORTER, self._node(value, label)
                continue
            if label in exporter.prefixes:
                value = exporter.prefixes[label] + value.replace(".", "-")
            synonym = self._table.synonyms.get(label)
            for name in names:
                kind = self._kind(name)
                if kind is not None:
                    namespaces = synonym.namespaces if synonym is not None else ()
                    for it in self._candidate(kind, value, label, namespaces=namespaces, is_anywhere=True):
                        yield _OF_EXPORTER, it

    def _of_word(self, word: str) -> Iterator[_Ranked]:
        value = self._get(word)
        if value is None or word in NOT_NAMING_LABELS or word in NODE_LABELS or word == "pod":
            return
        synonym = self._table.synonyms.get(word)
        if synonym is not None:
            says_kind = len(synonym.kinds) == 1
            for name in synonym.kinds:
                kind = self._kind(name)
                if kind is not None:
                    rank = _rank(kind, _OWNER if synonym.is_owner else _NAMED) if says_kind else _NAMED
                    for it in self._candidate(kind, value, word, namespaces=synonym.namespaces, says_kind=says_kind):
                        yield rank, it
            return
        kind = self._kinds.called(word)
        is_common = word in COMMON_WORDS
        if kind is not None and not (is_common and kind.is_namespaced and self._namespace is None):
            rank = _rank(kind, _WORD if is_common else _NAMED)
            for it in self._candidate(kind, value, word, says_kind=True):
                yield rank, it

    def _of_pair(self, pair: Pair) -> Iterator[_Ranked]:
        kind_name, name = self._get(pair.kind), self._get(pair.name)
        kind = self._kinds.called(kind_name.lower()) if kind_name is not None else None
        if kind is not None and name is not None:
            label = f"{pair.kind} and {pair.name}"
            for it in self._candidate(kind, name, label, namespaces=pair.namespaces, says_kind=not pair.is_owner):
                yield _OWNER if pair.is_owner else _PAIR, it

    def _of_pod(self) -> Iterator[_Ranked]:
        pod_kind = self._kinds.called("pod")
        exported, pod = self._labels.get(EXPORTED + "pod"), self._labels.get("pod")
        if pod_kind is None:
            return
        if exported is not None:
            if is_object_name(exported):
                gone = EXPORTED + "namespace" in self._labels
                yield _POD, self._pod(pod_kind, exported, self._namespace, EXPORTED + "pod", may_be_gone=gone)
            return
        if pod is None or not is_object_name(pod):
            return
        exporter, namespace = self._exporter, self._labels.get("namespace")
        if namespace is not None and not is_namespace(namespace):
            return
        is_others = EXPORTED + "namespace" in self._labels or EXPORTED + "container" in self._labels
        if exporter is not None and exporter.name == "kubelet":
            yield _POD, self._pod(pod_kind, pod, self._namespace, "pod", may_be_gone=True)
        elif self._speaks_of_itself():
            yield _POD, self._pod(pod_kind, pod, namespace, "pod", may_be_gone=not is_others)
        elif exporter is None and is_others:
            yield _POD, self._pod(pod_kind, pod, self._namespace, "pod", may_be_gone=False)
        elif exporter is not None and exporter.names_pods and not is_others and not self._is_scraped(pod):
            yield _POD, self._pod(pod_kind, pod, namespace, "pod", may_be_gone=True, exporter=exporter)
        elif exporter is not None and exporter.is_sidecar and not is_others and "exporter" not in pod:
            yield _POD, self._pod(pod_kind, pod, namespace, "pod", may_be_gone=False, exporter=exporter)
        elif exporter is not None and exporter.speaks_of == "others" and self._has_only_target_labels():
            yield _NODE, self._pod(pod_kind, pod, namespace, "pod", may_be_gone=False)

    def _pod(
        self,
        kind: Kind,
        name: str,
        namespace: str | None,
        label: str,
        *,
        may_be_gone: bool,
        exporter: Exporter | None = None,
    ) -> Candidate:
        return Candidate(
            kind.name,
            name,
            namespace,
            kind.api_version,
            label=label,
            must_exist=not may_be_gone or namespace is None,
            exporter=exporter if "uid" not in self._labels and _is_series(self._labels) else None,
            address=_host(self._labels.get("instance", "")),
        )

    def _speaks_of_itself(self) -> bool:
        """Return whether the pod label of the series means the object."""
        exporter = self._exporter
        if exporter is None:
            return EXPORTED + "namespace" not in self._labels
        return exporter.speaks_of == "itself" and not any(self._get(label) for label in exporter.labels)

    def _is_scraped(self, pod: str) -> bool:
        """Return whether the names show that a pod is the scraped exporter."""
        if "uid" in self._labels or not _is_series(self._labels):
            return False
        service = self._labels.get("service")
        if service is not None and pod.startswith(f"{service}-"):
            return True
        return self._exporter is not None and any(match in _normal(pod) for match in self._exporter.matches)

    def _has_only_target_labels(self) -> bool:
        return not self._labels.keys() - TARGET_LABELS - _ALERT_LABELS and "node" not in self._labels

    def _of_alert_name(self) -> Iterator[_Ranked]:
        """Yield the object of a kind with which the name of the alert begins, such as KafkaTopicNotReady."""
        name, alert = self._get("name"), self._labels.get("alertname", "")
        if name is None or (self._exporter is not None and "name" in self._exporter.labels):
            return
        for end in range(len(alert), 2, -1):
            if end < len(alert) and not alert[end].isupper():
                continue
            kind = self._kinds.called(alert[:end].lower())
            if kind is not None and kind.name == alert[:end]:
                for it in self._candidate(kind, name, "name"):
                    yield _BY_ALERT, it
                return

    def _of_job(self) -> Iterator[_Ranked]:
        """Yield the workloads of a job `namespace/workload`, and of the host of a described database."""
        places: list[tuple[int, str, str, str]] = []
        namespace, slash, name = self._labels.get("job", "").partition("/")
        if slash and self._namespace in (namespace, None):
            places.append((_JOB, namespace, name, "job"))
        if self._exporter is not None and self._exporter.is_sidecar:
            for label in ("server", "target", "instance", "host", "addr"):
                parts = _host(self._labels.get(label, "")).split(".")
                if len(parts) >= 3 and "svc" in parts[2:4]:
                    at = parts.index("svc")
                    places.append((_ADDRESS, parts[at - 1], parts[at - 2], label))
        for rank, within, name, label in places:
            for kind_name in GUESSED_KINDS:
                kind = self._kinds.called(kind_name.lower())
                if kind is not None and is_namespace(within) and is_object_name(name):
                    yield rank, Candidate(kind.name, name, within, kind.api_version, label=label)

    def _of_nodes(self) -> Iterator[_Ranked]:
        exporter = self._exporter
        is_node = exporter is not None and exporter.speaks_of == "node"
        for label in NODE_LABELS:
            value = self._labels.get(label)
            if value is not None:
                yield _NODE, self._node(value, label)
        instance, pod = self._labels.get("instance", ""), self._labels.get("pod")
        host, port = _host(instance), instance.rpartition(":")[2]
        is_plain = "/" not in instance and bool(host)
        if is_node and is_plain and not _is_address(host):
            yield _NODE, self._node(host, "instance")
        namespace = self._labels.get("namespace")
        is_on_node = is_node and exporter is not None and exporter.name != "kubelet"
        if is_on_node and pod and namespace and is_object_name(pod) and is_namespace(namespace):
            yield _NODE, Candidate("Node", pod, namespace, "v1", label="pod", lookup="node_of_pod")
        if is_node and is_plain and _is_address(host):
            yield _NODE, self._node(host, "instance")
        is_own = not is_node and pod is None and (exporter is None or exporter.speaks_of != "others")
        if is_own and is_plain and (host == instance or port == _NODE_EXPORTER_PORT):
            yield _NODE, self._node(host, "instance")

    def _node(self, value: str, label: str) -> Candidate:
        return Candidate("Node", _host(value), None, "v1", label=label, lookup="node")


def _is_series(labels: Mapping[str, str]) -> bool:
    """Return whether the labels of the scrape target are there; else an aggregation kept those of the object."""
    return "instance" in labels or "endpoint" in labels or "service" in labels


def _rank(kind: Kind, otherwise: int) -> int:
    """Return the place of a kind in the order of the candidates: controllers in an order of their own."""
    if kind.name in _CONTROLLERS:
        return _WORKLOAD + _CONTROLLERS.index(kind.name)
    return _POD if kind.name == "Pod" else otherwise


def _normal(text: str) -> str:
    return text.lower().replace("_", "-")


def _host(address: str) -> str:
    """Return the host of an address such as `10.0.0.1:9100`, `[fd00::1]:9100` or `redis://db.prod.svc:6379`."""
    rest = address.partition("://")[2] or address
    rest = rest.partition("/")[0]
    if rest.startswith("["):
        return rest[1:].partition("]")[0]
    return rest.partition(":")[0] if rest.count(":") == 1 else rest


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
