"""MetricsView: reads a metrics registry, one value by name and labels or the changes within a block."""

import difflib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

from signal_gateway.errors import HarnessError

__all__ = ["MetricsDelta", "MetricsView", "UnknownMetric"]

_SUFFIXES: Final[Mapping[str, tuple[str, ...]]] = {
    "counter": ("_total", "_created"),
    "histogram": ("_bucket", "_count", "_sum", "_created"),
    "summary": ("_count", "_sum", "_created"),
    "info": ("_info",),
}
_CUMULATIVE: Final = ("counter", "histogram", "summary")
_NUMERIC_LABELS: Final = ("le", "quantile")
_LABEL_OF_SUFFIX: Final[Mapping[str, str]] = {"_bucket": "le"}
# durations and start times: a test cannot predict them
_UNPREDICTABLE: Final = ("_bucket", "_sum", "_created")


class UnknownMetric(HarnessError, LookupError):  # noqa: N818 - the condition itself
    """The registry has no series with this name or these labels. The message suggests similar names."""


class MetricsDelta(Mapping[str, float]):
    """The changed series of a block and their differences: `{'gateway_x_total{source_type="prometheus"}': 1.0}`.

    A key is the series as `/metrics` writes it, with the labels in order of their names. The delta equals a dict with
    the same items. `expected.items() <= delta.items()` compares a part of them. The repr shows each changed series on
    its own line. You can read the delta after the end of the block.

    The delta contains only the `_count` of histograms and summaries: buckets and sums depend on durations.
    """

    def __init__(self) -> None:
        self._changes: dict[str, float] | None = None

    def settle(self, before: Mapping[str, float], after: Mapping[str, float]) -> None:
        """Store the differences between two readings.

        Args:
            before: The series at the start.
            after: The series at the end.
        """
        differences = {key: after.get(key, 0.0) - before.get(key, 0.0) for key in sorted({*before, *after})}
        self._changes = {key: difference for key, difference in differences.items() if difference}

    def __getitem__(self, key: str) -> float:
        return self._read()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def __repr__(self) -> str:
        if self._changes is None:
            return "<MetricsDelta of a block that has not ended>"
        if not self._changes:
            return "<MetricsDelta: no series changed>"
        return "<MetricsDelta:" + "".join(f"\n  {key} {change:+g}" for key, change in self._changes.items()) + "\n>"

    def _read(self) -> dict[str, float]:
        if self._changes is None:
            raise HarnessError(
                "the delta is not complete before the end of its block: read it after the with statement"
            )
        return self._changes


class MetricsView:
    """Reads the metrics of one registry.

    Args:
        registry: The registry of a gateway, or any other.
        baseline: Values of counters, histograms and summaries from which this view counts, by series.
    """

    def __init__(self, registry: CollectorRegistry, *, baseline: Mapping[str, float] | None = None) -> None:
        self._registry = registry
        self._baseline = {} if baseline is None else baseline

    def since_now(self) -> "MetricsView":
        """Return a view whose counters, histograms and summaries count from now on. A gauge has its current value."""
        baseline = {
            _key(sample.name, sample.labels): sample.value
            for family in self._registry.collect()
            for sample in family.samples
            if _is_cumulative(family, sample)
        }
        return MetricsView(self._registry, baseline=baseline)

    def value(self, name: str, /, **labels: object) -> float:
        """Return the value of one sample.

        Args:
            name: The name as `/metrics` writes it, with its suffix: `gateway_crds_created_total`.
            **labels: All labels of the sample. Other values than strings are converted.

        Returns:
            The value; 0 for labels without a sample.

        Raises:
            UnknownMetric: The name or a label is unknown, or a label is missing. The message suggests similar names.
        """
        families = list(self._registry.collect())
        names = {sample_name: family for family in families for sample_name in _sample_names(family)}
        family = names.get(name)
        if family is None:
            raise UnknownMetric(f"no metric is called {name!r}{_near_misses(name, names)}")

        samples = [sample for sample in family.samples if sample.name == name]
        known = frozenset(samples[0].labels) if samples else self._declared_labels(family, name)
        if known is not None:
            _check_labels(name, labels, known)
        wanted = {label: _text(label, value) for label, value in labels.items()}
        for sample in samples:
            if sample.labels == wanted:
                return self._value_of(family, sample)
        for label in _NUMERIC_LABELS:
            there = {sample.labels[label] for sample in samples if label in sample.labels}
            if there and wanted[label] not in there:
                raise UnknownMetric(f"{name} has no {label}={wanted[label]!r}: it has {', '.join(sorted(there))}")
        return 0.0

    @contextmanager
    def delta(self) -> Iterator[MetricsDelta]:
        """Compare the registry before and after a block.

        Yields:
            The changes; readable after the end of the block.
        """
        delta = MetricsDelta()
        before = self._series()
        try:
            yield delta
        finally:
            delta.settle(before, self._series())

    def counted(self) -> dict[str, float]:
        """Return every series with another value than 0, with the keys of a `MetricsDelta`."""
        return {key: value for key, value in self._series().items() if value}

    def _series(self) -> dict[str, float]:
        return {
            _key(sample.name, sample.labels): self._value_of(family, sample)
            for family in self._registry.collect()
            for sample in family.samples
            if not (family.type in _SUFFIXES and sample.name.removeprefix(family.name) in _UNPREDICTABLE)
        }

    def _value_of(self, family: Metric, sample: Sample) -> float:
        """Return the value since the baseline. A lower value than the baseline is a reset, as for PromQL's `rate`."""
        if not self._baseline or not _is_cumulative(family, sample):
            return sample.value
        before = self._baseline.get(_key(sample.name, sample.labels), 0.0)
        return sample.value - before if sample.value >= before else sample.value

    def _declared_labels(self, family: Metric, name: str) -> frozenset[str] | None:
        """Return the label names of a family without samples; None if its collector declares none."""
        collector = self._registry._names_to_collectors.get(family.name)
        declared: tuple[str, ...] | None = getattr(collector, "_labelnames", None)
        if declared is None:
            return None
        implied = family.name if family.type == "stateset" else _LABEL_OF_SUFFIX.get(name.removeprefix(family.name))
        return frozenset(declared if implied is None else (*declared, implied))


def _is_cumulative(family: Metric, sample: Sample) -> bool:
    return family.type in _CUMULATIVE and not sample.name.endswith("_created")


def _sample_names(family: Metric) -> set[str]:
    return {family.name + suffix for suffix in _SUFFIXES.get(family.type, ("",))} | {
        sample.name for sample in family.samples
    }


def _check_labels(name: str, labels: Collection[str], known: frozenset[str]) -> None:
    for label in labels:
        if label not in known:
            has = f"it has {', '.join(sorted(known))}" if known else "it has none"
            raise UnknownMetric(f"{name} has no label {label!r}{_near_misses(label, known)}; {has}")
    if missing := sorted(known.difference(labels)):
        raise UnknownMetric(f"{name} is one series per label value: say {', '.join(missing)} too")


def _near_misses(word: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(word, known, n=3, cutoff=0.6)
    return f": did you mean {' or '.join(close)}?" if close else ""


def _text(label: str, value: object) -> str:
    if label in _NUMERIC_LABELS and isinstance(value, (int, float)):
        text: str = floatToGoString(value)  # type: ignore[no-untyped-call]
        return text
    return str(value)


def _key(name: str, labels: Mapping[str, str]) -> str:
    if not labels:
        return name
    pairs = (f'{label}="{_escaped(value)}"' for label, value in sorted(labels.items()))
    return f"{name}{{{','.join(pairs)}}}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
