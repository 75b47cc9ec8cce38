"""Events as lines for a terminal: at most 100 columns, nothing cut, the workload named."""

import pytest
from rich.cells import cell_len

from signal_gateway.audit.presentation.workload import workload_of
from signal_gateway.commands.event_lines import followed_line, heading_lines, listed_lines, shown_lines

EVENT_ID = "01a20511-5d70-77fd-986e-b4f0dd6dd9be"


def event(**members):
    return {
        "event_timestamp": "2026-11-28T20:00:00.123456Z",
        "event_type": "gateway.signal.deduplicated",
        "event_category": "gateway",
        "event_outcome": "success",
        "correlation_id": "rr-5f2a910c33d4-0a1b2c3d",
        "event_id": EVENT_ID,
        "event_data": {"event_type": "gateway.signal.deduplicated"},
        **members,
    }


def of_the_gateway(**members):
    data = {"namespace": "payments", "resource_kind": "Deployment", "resource_name": "payment-api"}
    return event(event_data=data, **members)


def test_event_of_the_gateway_is_two_lines_that_align():
    heading, listed = heading_lines(), listed_lines(of_the_gateway(resource_type="Signal"))

    assert listed == [
        "2026-11-28T20:00:00.123456Z  gateway.signal.deduplicated  success  rr-5f2a910c33d4-0a1b2c3d",
        f"    payments/Deployment/payment-api  {EVENT_ID}",
    ]
    assert heading[0].index("correlation_id") == listed[0].index("rr-5f2a")
    assert heading[1] == "    namespace/kind/name  event_id"


@pytest.mark.parametrize(
    "members",
    [
        {"correlation_id": "c" * 255},
        {"correlation_id": "9f" * 32},
        {"event_type": "t" * 100, "correlation_id": "c" * 33},
        {"resource_type": "K" * 100, "resource_id": "n" * 255, "namespace": "s" * 253},
        {"correlation_id": "支" * 200, "resource_type": "支" * 47, "resource_id": "x"},
        {"correlation_id": "\x1b[31m" * 50},
        {"event_timestamp": "2026-11-28T20:00:00Z", "event_type": "", "correlation_id": ""},
    ],
)
def test_long_texts_are_broken_at_100_columns_and_not_cut(members):
    stored = event(**members)

    lines = listed_lines(stored)

    assert max(map(cell_len, lines)) <= 100
    assert max(map(len, lines[1:])) > 4
    joined = "".join(line.strip() for line in lines)
    for text in (stored["event_type"], stored["correlation_id"].replace("\x1b", "\\x1b"), EVENT_ID):
        assert text in joined
    workload = workload_of(stored)
    assert (workload.path if workload else "") in joined


def test_followed_event_is_one_line():
    assert followed_line(of_the_gateway(resource_type="Signal", correlation_id="c" * 255)).split() == [
        "2026-11-28T20:00:00.123456Z",
        "gateway.signal.deduplicated",
        "success",
        "c" * 255,
        EVENT_ID,
        "payments/Deployment/payment-api",
    ]


def test_shown_event_has_actor_resource_duration_and_error():
    shown = shown_lines(
        of_the_gateway(
            event_outcome="failure",
            actor_type="user",
            actor_id="alice",
            actor_ip="10.0.0.7",
            resource_type="RemediationRequest",
            resource_id="payments/rr-1",
            duration_ms=0,
            error_code="several_active",
            error_message="two\nlines \x1b[31m",
        )
    )

    assert shown[:8] == [
        "2026-11-28T20:00:00.123456Z  gateway.signal.deduplicated  failure",
        f"  event_id:      {EVENT_ID}",
        "  actor:         user alice 10.0.0.7",
        "  workload:      payments/Deployment/payment-api",
        "  resource:      RemediationRequest payments/rr-1",
        "  duration:      0 ms",
        "  error_code:    several_active",
        "  error_message: two\\nlines \\x1b[31m",
    ]
    assert shown[8] == "{"


def test_shown_event_has_no_line_for_a_member_that_it_has_not():
    assert [line.partition(":")[0].strip() for line in shown_lines(event(duration_ms=None))[1:3]] == ["event_id", "{"]


SECRET = {"event_type": "gateway.signal.deduplicated", "token": "s3crét"}


@pytest.mark.parametrize("is_sensitive", [True, "true", 1])
def test_payload_of_a_sensitive_event_is_withheld_with_its_size(is_sensitive):
    text = "\n".join(shown_lines(event(is_sensitive=is_sensitive, event_data=SECRET)))

    size = len('{"event_type":"gateway.signal.deduplicated","token":"s3crét"}'.encode())
    assert f"withheld: sensitive, {size} bytes; --sensitive shows it" in text
    assert "s3cr" not in text
    assert EVENT_ID in text


@pytest.mark.parametrize("members", [{}, {"is_sensitive": None}, {"is_sensitive": False}])
def test_payload_of_another_event_is_shown(members):
    assert "s3crét" in "\n".join(shown_lines(event(event_data=SECRET, **members)))


def test_payload_of_a_sensitive_event_is_shown_on_request():
    lines = shown_lines(event(is_sensitive=True, event_data=SECRET), with_sensitive=True)

    assert lines == shown_lines(event(event_data=SECRET))
