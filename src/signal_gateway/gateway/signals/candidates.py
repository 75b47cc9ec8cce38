"""Candidates: the objects that the labels of an alert may name, by the tables of `knowledge` and by the exporter."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Final, Literal

from signal_gateway.gateway.signals.addresses import host_of, is_address, service_of
from signal_gateway.gateway.signals.exporters import RESOURCE_PREFIXES, Exporter
from signal_gateway.gateway.signals.knowledge import (
    ALERTS_WITHOUT_OBJECT,
    COMMON_WORDS,
    EXPORTED,
    GUESSED_KINDS,
    NODE_LABELS,
    NOT_NAMING_LABELS,
    PAIRS,
    TARGET_LABELS,
    WORKLOAD_KINDS,
    Pair,
)
from signal_gateway.gateway.signals.label_table import SCRAPE_LABELS, LabelTable, namespace_from_labels, normal
from signal_gateway.gateway.signals.signal import Target, is_namespace, is_object_name
from signal_gateway.kubernetes import Kind, Kinds

__all__ = ["Candidate", "Lookup", "candidates_from_labels"]

Lookup = Literal["name", "node", "node_of_pod"]

_MAX_CANDIDATES: Final = 12
_NODE_EXPORTER_PORT: Final = "9100"
_MAY_BE_GONE: Final = frozenset({"Pod", *WORKLOAD_KINDS})
_ALERT_LABELS: Final = frozenset({"alertname", "severity", "prometheus", "prometheus_replica", "cluster", "endpoint"})
_POD_HASH: Final = re.compile(r"(?=.*\d)[0-9a-z]{8,10}")  # between the name of a ReplicaSet and its pod's own part
_LABELS_OF_NODES: Final = frozenset({*NODE_LABELS, "instance", "pod"})

# the order of the candidates
_WORKLOAD, _OF_EXPORTER, _PAIR, _NAMED, _POD, _OWNER, _BY_ALERT, _WORD, _JOB, _ADDRESS, _NODE = range(0, 110, 10)
_CONTROLLERS: Final = WORKLOAD_KINDS[: WORKLOAD_KINDS.index("ReplicaSet")]
# controllers have an order of their own, whichever label names them
_RANKS: Final = {**{kind: rank for rank, kind in enumerate(_CONTROLLERS, _WORKLOAD)}, "Pod": _POD}


@dataclass(frozen=True, slots=True)
class Candidate(Target):
    """An object that labels may name, and the way to find it.

    Attributes:
        label: The label that names it.
        must_exist: Whether it is the target only if it exists. If not, it may have been deleted a moment ago.
        is_of_series: Whether its namespace is certainly that of the series. If not, it may be the exporter's, and an
            object that exists in another namespace only has not been deleted.
        lookup: `name`: by kind and name. `node`: by the name or an address of a node. `node_of_pod`: name and namespace
            are a pod's, and the object is the node that it runs on.
        is_anywhere: Whether it is searched in all namespaces if it is not in its own.
        exporter: The exporter that is not the target: a pod of it is skipped. None to accept every pod.
        address: The IP address of the scrape target, to recognize the exporter's pod.
    """

    label: str = ""
    must_exist: bool = True
    is_of_series: bool = True
    lookup: Lookup = "name"
    is_anywhere: bool = False
    exporter: Exporter | None = None
    address: str = ""


def candidates_from_labels(labels: Mapping[str, str], kinds: Kinds, table: LabelTable) -> tuple[Candidate, ...]:
    """Return the candidates, the most likely first; the same labels always give the same candidates.

    Args:
        labels: All labels of the alert.
        kinds: The kinds of the cluster.
        table: The meaning of labels and exporters.
    """
    if labels.get("alertname") in ALERTS_WITHOUT_OBJECT:
        return ()
    found: dict[tuple[str, str, str | None, Lookup], Candidate] = {}
    for _, candidate in sorted(_Reader(labels, kinds, table).candidates(), key=itemgetter(0)):
        found.setdefault((candidate.kind, candidate.name, candidate.namespace, candidate.lookup), candidate)
    return tuple(found.values())[:_MAX_CANDIDATES]


class _Reader:
    """Reads the labels of one alert.

    `_labels` are those with a value that the table does not ignore. `_own` has the value of the series for each label,
    which wins over the one of the scrape target. `_found` are the candidates with their rank.
    """

    def __init__(self, labels: Mapping[str, str], kinds: Kinds, table: LabelTable) -> None:
        self._kinds = kinds
        self._table = table
        self._labels: dict[str, str] = {}
        self._words: set[str] = set()
        exported = {}
        for key, value in labels.items():
            if not value or key in table.ignored:
                continue
            word = key.removeprefix(EXPORTED)
            self._labels[key] = value
            self._words.add(word)
            if word != key:
                exported[word] = value
        self._own = self._labels | exported
        self._exporter = table.exporter(self._labels)
        if self._exporter is not None:
            self._leave_out_resource(self._exporter)
        self._namespace = namespace_from_labels(self._labels)
        self._found: list[tuple[int, Candidate]] = []

    def _leave_out_resource(self, exporter: Exporter) -> None:
        """Leave out labels that describe the scraped pod, if the exporter speaks of something else."""
        if "k8s_namespace_name" in exporter.series_labels or self._speaks_of_itself():
            return
        kept = NODE_LABELS if exporter.speaks_of == "node" else ()
        for label in [it for it in self._own if it.startswith(RESOURCE_PREFIXES) and it not in kept]:
            self._labels.pop(label, None)
            del self._own[label]
            self._words.discard(label)

    def candidates(self) -> list[tuple[int, Candidate]]:
        """Return the candidates with their rank; a part of the labels is read only if the alert has it."""
        own, labels = self._own, self._labels
        if self._exporter is not None:
            self._read_exporter(self._exporter)
        for word in sorted(self._words):
            self._read_word(word)
        for pair in PAIRS:
            if pair.kind in own and pair.name in own:
                self._read_pair(pair)
        if "pod" in own:
            self._read_pod()
        if "name" in own:
            self._read_alert_name()
        if "/" in labels.get("job", "") or (self._exporter is not None and self._exporter.is_sidecar):
            self._read_addresses()
        if _LABELS_OF_NODES & labels.keys():
            self._read_nodes()
        return self._found

    def _kind(self, name: str) -> Kind | None:
        short, dot, _ = name.partition(".")
        return self._kinds.called(name.lower()) or (self._kinds.called(short.lower()) if dot else None)

    def _add(
        self,
        rank: int,
        kind: Kind,
        name: str,
        label: str,
        *,
        namespaces: tuple[str, ...] = (),
        says_kind: bool = False,
        is_anywhere: bool = False,
    ) -> None:
        """Add a candidate if the name is possible; `namespace/name` is a name of a namespaced kind.

        Args:
            rank: Its place in the order of the candidates.
            kind: Its kind.
            name: Its name.
            label: The label that names it.
            namespaces: Labels with its namespace, which win over the namespace of the alert.
            says_kind: Whether the label says its kind.
            is_anywhere: Whether it is searched in all namespaces.
        """
        namespace = None
        if kind.is_namespaced:
            within, slash, local = name.partition("/")
            namespace = self._namespace
            for other in namespaces:
                if other in self._own and is_namespace(self._own[other]):
                    namespace = self._own[other]
                    break
            if slash and is_namespace(within):
                namespace, name = within, local
            elif ".svc" in name:
                name, namespace = service_of(name) or (name, namespace)
        if is_object_name(name):
            may_be_gone = says_kind and kind.name in _MAY_BE_GONE and self._may_be_gone(label)
            candidate = Candidate(
                kind.name,
                name,
                namespace,
                kind.api_version,
                label=label,
                must_exist=not may_be_gone or namespace is None,
                is_of_series=self._exporter is None or EXPORTED + "namespace" in self._labels,
                is_anywhere=is_anywhere,
            )
            self._found.append((rank, candidate))

    def _may_be_gone(self, label: str) -> bool:
        """Return whether a label with a kind names an object of this cluster, and not one of the exporter's own."""
        if self._exporter is None:
            return label != "job_name" or "job" not in self._labels  # many schedulers have a label of this name
        return self._exporter.names_pods or "k8s_namespace_name" in self._exporter.series_labels

    def _read_exporter(self, exporter: Exporter) -> None:
        for label, names in exporter.labels.items():
            value = self._own.get(label)
            if value is None:
                continue
            if label in NODE_LABELS:
                self._add_node(_OF_EXPORTER, value, label)
                continue
            if label in exporter.prefixes:
                value = exporter.prefixes[label] + value.replace(".", "-")
            synonym = self._table.synonyms.get(label)
            for name in names:
                kind = self._kind(name)
                if kind is not None:
                    namespaces = synonym.namespaces if synonym is not None else ("resource_namespace",)
                    self._add(_OF_EXPORTER, kind, value, label, namespaces=namespaces, is_anywhere=True)

    def _read_word(self, word: str) -> None:
        value = self._own[word]
        if word in NOT_NAMING_LABELS or word in NODE_LABELS or word == "pod":
            return
        synonym = self._table.synonyms.get(word)
        if synonym is not None:
            says_kind = len(synonym.kinds) == 1
            for name in synonym.kinds:
                kind = self._kind(name)
                if kind is not None:
                    rank = _RANKS.get(kind.name, _OWNER if synonym.is_owner else _NAMED) if says_kind else _NAMED
                    self._add(rank, kind, value, word, namespaces=synonym.namespaces, says_kind=says_kind)
            return
        kind = self._kinds.called(word)
        is_common = word in COMMON_WORDS
        if kind is not None and not (is_common and kind.is_namespaced and self._namespace is None):
            rank = _RANKS.get(kind.name, _WORD if is_common else _NAMED)
            self._add(rank, kind, value, word, says_kind=True)

    def _read_pair(self, pair: Pair) -> None:
        kind = self._kinds.called(self._own[pair.kind].lower())
        if kind is not None:
            rank, label = _OWNER if pair.is_owner else _PAIR, f"{pair.kind} and {pair.name}"
            name, says_kind = self._own[pair.name], not pair.is_owner
            self._add(rank, kind, name, label, namespaces=pair.namespaces, says_kind=says_kind)

    def _read_pod(self) -> None:
        pod_kind = self._kinds.called("pod")
        exported, pod = self._labels.get(EXPORTED + "pod"), self._labels.get("pod")
        if pod_kind is None:
            return
        if exported is not None:
            if is_object_name(exported):
                gone = EXPORTED + "namespace" in self._labels
                self._add_pod(_POD, pod_kind, exported, self._namespace, EXPORTED + "pod", may_be_gone=gone)
            return
        if pod is None or not is_object_name(pod):
            return
        exporter, namespace = self._exporter, self._labels.get("namespace")
        if namespace is not None and not is_namespace(namespace):
            return
        is_others = EXPORTED + "namespace" in self._labels or EXPORTED + "container" in self._labels
        if exporter is not None and exporter.name == "kubelet":
            self._add_pod(_POD, pod_kind, pod, self._namespace, "pod", may_be_gone=True)
        elif self._speaks_of_itself():
            self._add_pod(_POD, pod_kind, pod, namespace, "pod", may_be_gone=not is_others)
        elif exporter is None and is_others:
            self._add_pod(_POD, pod_kind, pod, self._namespace, "pod", may_be_gone=False)
        elif exporter is not None and exporter.names_pods and not is_others and not self._is_scraped(pod):
            self._add_pod(_POD, pod_kind, pod, namespace, "pod", may_be_gone=True, exporter=exporter)
        elif exporter is not None and exporter.is_sidecar and not is_others and "exporter" not in pod:
            self._add_pod(_POD, pod_kind, pod, namespace, "pod", may_be_gone=False, exporter=exporter)
        elif exporter is not None and exporter.speaks_of == "others" and self._has_only_target_labels():
            self._add_pod(_NODE, pod_kind, pod, namespace, "pod", may_be_gone=False)

    def _add_pod(
        self,
        rank: int,
        kind: Kind,
        name: str,
        namespace: str | None,
        label: str,
        *,
        may_be_gone: bool,
        exporter: Exporter | None = None,
    ) -> None:
        is_series = "uid" not in self._labels and bool(SCRAPE_LABELS & self._labels.keys())
        candidate = Candidate(
            kind.name,
            name,
            namespace,
            kind.api_version,
            label=label,
            must_exist=not may_be_gone or namespace is None,
            is_of_series="uid" in self._labels or label != "pod" or _has_ordinal(name),
            exporter=exporter if is_series else None,
            address=host_of(self._labels.get("instance", "")),
        )
        self._found.append((rank, candidate))

    def _speaks_of_itself(self) -> bool:
        """Return whether the pod label of the series means the object."""
        exporter = self._exporter
        if exporter is None:
            return EXPORTED + "namespace" not in self._labels
        return exporter.speaks_of == "itself" and self._own.keys().isdisjoint(exporter.labels)

    def _is_scraped(self, pod: str) -> bool:
        """Return whether the names show that a pod is the scraped exporter."""
        if "uid" in self._labels or not SCRAPE_LABELS & self._labels.keys():
            return False
        service = self._labels.get("service")
        if service is not None and pod.startswith(f"{service}-"):
            return True
        return self._exporter is not None and any(match in normal(pod) for match in self._exporter.matches)

    def _has_only_target_labels(self) -> bool:
        return not self._labels.keys() - TARGET_LABELS - _ALERT_LABELS and "node" not in self._labels

    def _read_alert_name(self) -> None:
        """Read the label `name` as an object of the kind that begins the alert's name, as in KafkaTopicNotReady."""
        name, alert = self._own["name"], self._labels.get("alertname", "")
        if self._exporter is not None and "name" in self._exporter.labels:
            return
        for end in range(len(alert), 2, -1):
            if end < len(alert) and not alert[end].isupper():
                continue
            kind = self._kinds.called(alert[:end].lower())
            if kind is not None and kind.name == alert[:end]:
                self._add(_BY_ALERT, kind, name, "name")
                return

    def _read_addresses(self) -> None:
        """Read the workloads of a job `namespace/workload`, and of the host of a described database."""
        places: list[tuple[int, str, str, str]] = []
        namespace, slash, name = self._labels.get("job", "").partition("/")
        is_own_pod = self._exporter is None or self._exporter.speaks_of == "itself"
        if slash and is_own_pod and self._namespace in (namespace, None):
            places.append((_JOB, namespace, name, "job"))
        if self._exporter is not None and self._exporter.is_sidecar:
            for label in ("server", "target", "instance", "host", "addr"):
                service = service_of(host_of(self._labels.get(label, "")))
                if service is not None:
                    places.append((_ADDRESS, service[1], service[0], label))
        for rank, within, name, label in places:
            for kind_name in GUESSED_KINDS:
                kind = self._kinds.called(kind_name.lower())
                if kind is not None and is_namespace(within) and is_object_name(name):
                    candidate = Candidate(kind.name, name, within, kind.api_version, label=label)
                    self._found.append((rank, candidate))

    def _read_nodes(self) -> None:
        exporter = self._exporter
        is_node = exporter is not None and exporter.speaks_of == "node"
        for label in NODE_LABELS:
            value = self._labels.get(label)
            if value is not None:
                self._add_node(_NODE, value, label)
        instance, pod = self._labels.get("instance", ""), self._labels.get("pod")
        address, port = host_of(instance), instance.rpartition(":")[2]
        is_plain = "/" not in instance and bool(address)
        if is_node and is_plain and not is_address(address):
            self._add_node(_NODE, address, "instance")
        namespace = self._labels.get("namespace")
        is_on_node = is_node and exporter is not None and exporter.name != "kubelet"
        if is_on_node and pod and namespace and is_object_name(pod) and is_namespace(namespace):
            candidate = Candidate("Node", pod, namespace, "v1", label="pod", lookup="node_of_pod")
            self._found.append((_NODE, candidate))
        if is_node and is_plain and is_address(address):
            self._add_node(_NODE, address, "instance")
        is_own = not is_node and pod is None and (exporter is None or exporter.speaks_of != "others")
        if is_own and is_plain and (address == instance or port == _NODE_EXPORTER_PORT):
            self._add_node(_NODE, address, "instance")

    def _add_node(self, rank: int, value: str, label: str) -> None:
        # without any label of a series the sender itself says the node, which may have been removed a moment ago
        is_said = label == "node" and self._labels.keys() <= _ALERT_LABELS | {"node"}
        candidate = Candidate("Node", host_of(value), None, "v1", label=label, must_exist=not is_said, lookup="node")
        self._found.append((rank, candidate))


def _has_ordinal(pod: str) -> bool:
    """Return whether the name of a pod ends like that of a StatefulSet, which several namespaces may have."""
    rest, _, end = pod.rpartition("-")
    return end.isdigit() and _POD_HASH.fullmatch(rest.rpartition("-")[2]) is None
