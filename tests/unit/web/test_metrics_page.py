"""The formats of a metrics page: the weights of Accept decide, and a response names the version that it has."""

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, samples
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text
from prometheus_client.registry import Collector
from starlette.datastructures import Headers
from starlette.responses import Response

from signal_gateway.web.metrics_page import metrics_response

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
OPEN_METRICS_2 = "application/openmetrics-text; version=2.0.0; charset=utf-8"
needs_openmetrics_2 = pytest.mark.skipif(
    not hasattr(openmetrics, "CONTENT_TYPE_LATEST_2_0"),
    reason="this prometheus-client writes OpenMetrics 1.0 only",
)
PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1"
    ";q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    Counter("signals_total", "Signals.", ["reason"], registry=registry).labels("no_target").inc()
    Histogram("seconds", "Duration.", registry=registry).observe(0.2, {"request_id": "0190b7d3"})
    return registry


def page(registry: CollectorRegistry, *accept: str) -> Response:
    return metrics_response(registry, Headers(raw=[(b"accept", value.encode()) for value in accept]))


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ([], TEXT),
        ([""], TEXT),
        (["*/*"], TEXT),
        (["text/*"], TEXT),
        (["text/html, */*;q=0.8"], TEXT),
        (["text/plain"], TEXT),
        (["application/*"], OPEN_METRICS),
        (["application/openmetrics-text"], OPEN_METRICS),
        (["Application/OpenMetrics-Text; Version=1.0.0"], OPEN_METRICS),
        (['application/openmetrics-text; version="1.0.0"'], OPEN_METRICS),
        (["application/openmetrics-text, text/plain"], OPEN_METRICS),
        (["application/openmetrics-text;q=0, text/plain"], TEXT),
        (["application/openmetrics-text;q=0.000, */*"], TEXT),
        (["application/openmetrics-text;version=1.0.0;q=0, application/*;q=0.5"], TEXT),
        (["application/openmetrics-text;q=0.3, text/plain;q=0.7"], TEXT),
        (["text/plain;q=0.3, application/openmetrics-text;q=0.7"], OPEN_METRICS),
        (["text/plain;q=0.3", "application/openmetrics-text;q=0.7"], OPEN_METRICS),
        (
            ["application/openmetrics-text;version=1.0.0;q=0.2,application/openmetrics-text;q=0.9,text/plain;q=0.5"],
            TEXT,
        ),
        (["application/openmetrics-text;q=x, text/plain;q=0.1"], TEXT),
        (["application/openmetrics-text;q=7, text/plain;q=0.1"], TEXT),
        (["application/openmetrics-text;version=0.0.1"], TEXT),
        (["application/openmetrics-text;version=3.0.0"], TEXT),
        (
            ["application/openmetrics-text;version=9.9.9, application/openmetrics-text;version=1.0.0;q=0.1"],
            OPEN_METRICS,
        ),
        (["text/plain;version=2.0.0"], TEXT),
        (["text/plain;version=1.0.0;escaping=allow-utf-8, application/openmetrics-text;version=1.0.0"], OPEN_METRICS),
        pytest.param(["application/openmetrics-text;version=2.0.0"], OPEN_METRICS_2, marks=needs_openmetrics_2),
        (["application/openmetrics-text;version=2.0.0;q=0.1, text/plain"], TEXT),
        (["application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"], TEXT),
        ([PROMETHEUS_2], OPEN_METRICS),
        ([PROMETHEUS_3], OPEN_METRICS),
    ],
)
def test_weights_decide_and_the_version_is_one_that_is_written(
    registry: CollectorRegistry, accept: list[str], expected: str
) -> None:
    response = page(registry, *accept)

    assert response.headers["content-type"] == expected
    assert response.headers["vary"] == "Accept"
    is_open = bytes(response.body).endswith(b"# EOF\n")
    assert is_open == expected.startswith("application/openmetrics-text")
    list((read_openmetrics if is_open else read_text)(bytes(response.body).decode()))


@pytest.mark.parametrize("accept", [TEXT, OPEN_METRICS, OPEN_METRICS_2])
def test_no_format_has_samples_of_a_creation_time(registry: CollectorRegistry, accept: str) -> None:
    body = page(registry, accept).body

    assert b"_created" not in body
    assert b'signals_total{reason="no_target"} 1.0' in body
    assert b"seconds_count 1.0" in body


def test_registry_keeps_its_samples_of_a_creation_time(registry: CollectorRegistry) -> None:
    page(registry)

    names = {sample.name for family in registry.collect() for sample in family.samples}
    assert {"signals_created", "seconds_created"} <= names


def test_metric_that_is_called_created_is_kept() -> None:
    registry = CollectorRegistry()
    Counter("gateway_crds_created_total", "RemediationRequests.", registry=registry).inc()

    assert b"gateway_crds_created_total 1.0" in page(registry, OPEN_METRICS).body


def test_openmetrics_has_exemplars_and_text_has_none(registry: CollectorRegistry) -> None:
    assert b'# {request_id="0190b7d3"} 0.2' in page(registry, OPEN_METRICS).body
    assert b"0190b7d3" not in page(registry, TEXT).body


class NativeDurations(Collector):
    """A collector that has a native histogram."""

    def collect(self) -> list[Metric]:
        histogram = samples.NativeHistogram(
            count_value=1, sum_value=0.2, schema=0, zero_threshold=0.001, zero_count=0,
            pos_spans=(samples.BucketSpan(-2, 1),), pos_deltas=(1,),
        )  # fmt: skip
        family = Metric("native_seconds", "Duration.", "histogram")
        family.add_sample("native_seconds", {}, 0, native_histogram=histogram)
        return [family]


@needs_openmetrics_2
def test_openmetrics_2_has_native_histograms_of_the_registry(registry: CollectorRegistry) -> None:
    registry.register(NativeDurations())

    assert b"native_seconds {count:1,sum:0.2,schema:0" in page(registry, OPEN_METRICS_2).body
    assert b"{count:1" not in page(registry, OPEN_METRICS).body
