"""metrics_response(): the metrics of a registry, in the format that the Accept header prefers."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector
from starlette.datastructures import Headers
from starlette.responses import Response

__all__ = ["METRICS_TYPES", "metrics_response"]

_CREATED: Final = "_created"


@dataclass(frozen=True, slots=True)
class _Format:
    name: str
    version: str
    write: Callable[[Collector], bytes]

    @property
    def content_type(self) -> str:
        return f"{self.name}; version={self.version}; charset=utf-8"


@dataclass(frozen=True, slots=True)
class _Range:
    """One media range of an Accept header."""

    name: str
    version: str | None
    weight: float

    def precision(self, format: _Format) -> int | None:
        """Return how precisely the range names a format: 0 to 3; None if it does not (RFC 9110, section 12.5.1)."""
        if self.version not in (None, format.version):
            return None
        if self.name == format.name:
            return 2 if self.version is None else 3
        return {"*/*": 0, format.name.partition("/")[0] + "/*": 1}.get(self.name)


_TEXT: Final = _Format("text/plain", "0.0.4", generate_latest)
_OPEN_METRICS: Final = _Format("application/openmetrics-text", "1.0.0", openmetrics.generate_latest)


def _formats() -> tuple[_Format, ...]:
    formats = [_OPEN_METRICS, _TEXT]
    if hasattr(openmetrics, "CONTENT_TYPE_LATEST_2_0"):  # older versions of prometheus-client write 1.0.0 alone
        formats.append(_Format(_OPEN_METRICS.name, "2.0.0", partial(openmetrics.generate_latest, version="2.0.0")))
    return tuple(formats)


_FORMATS: Final = _formats()

METRICS_TYPES: Final = (_TEXT.content_type, _OPEN_METRICS.content_type)
"""The content types of the metrics, the default first. OpenMetrics 2.0.0 is written only if a request names it."""


def metrics_response(registry: CollectorRegistry, headers: Headers) -> Response:
    """Return the metrics: as text 0.0.4, or as OpenMetrics, which adds exemplars.

    The weights of the Accept header decide; between equal weights the more precise media range, then OpenMetrics. The
    response names the version that it has. If the header allows no format that exists, the response is text.

    OpenMetrics 2.0.0, which a request must name, adds native histograms, as far as a collector of the registry has
    them. Those of prometheus-client record classic buckets alone. The samples `_created` are left out of every format:
    they are a series beside each counter, which Prometheus ignores by default.

    Args:
        registry: The metrics.
        headers: The headers of the request.
    """
    format = _preferred(_ranges(headers.getlist("accept")))
    content = format.write(_WithoutCreated(registry))
    return Response(content, headers={"Content-Type": format.content_type, "Vary": "Accept"})


class _WithoutCreated(Collector):
    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for family in self._registry.collect():
            kept = [sample for sample in family.samples if sample.name != family.name + _CREATED]
            if len(kept) != len(family.samples):
                family = copy.copy(family)  # a collector may return the same object each time
                family.samples = kept
            yield family


def _preferred(ranges: Sequence[_Range]) -> _Format:
    best, best_rank = _TEXT, (0.0, 0, False)
    for format in _FORMATS:
        named = [(precision, it.weight) for it in ranges if (precision := it.precision(format)) is not None]
        precision, weight = max(named, default=(0, 0.0))
        if format.version == "2.0.0" and precision < 3:
            continue
        is_richer = (format is not _TEXT) == (precision > 0)  # for */* the plain text is preferred
        rank = (weight, precision, is_richer)
        if weight > 0 and rank > best_rank:
            best, best_rank = format, rank
    return best


def _ranges(accept: Sequence[str]) -> list[_Range]:
    """Parse an Accept header; a media range with a malformed weight is left out."""
    ranges = []
    for part in ",".join(accept).split(","):
        name, *rest = (token.strip().lower() for token in part.split(";"))
        parameters: Mapping[str, str] = dict(_parameter(token) for token in rest)
        try:
            weight = float(parameters.get("q", "1"))
        except ValueError:
            continue
        if name and 0 <= weight <= 1:
            ranges.append(_Range(name, parameters.get("version"), weight))
    return ranges


def _parameter(token: str) -> tuple[str, str]:
    name, _, value = token.partition("=")
    return name.strip(), value.strip().strip('"')
