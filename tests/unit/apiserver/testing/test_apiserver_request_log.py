from datetime import UTC, datetime

import pytest

from signal_gateway.apiserver import LogEntry, RequestLog


@pytest.mark.asyncio
async def test_every_request_for_a_resource_is_logged_with_its_response(widget_server, widgets, clock):
    clock.advance(60)
    await widgets.create("a")
    await widgets.request("GET", "b")
    await widgets.request("PATCH", "a/status", {"status": {"n": 1}})

    time = datetime(2026, 1, 1, 0, 1, tzinfo=UTC)
    assert list(widget_server.log) == [
        LogEntry("create", "widgets", "default", "a", 201, time),
        LogEntry("get", "widgets", "default", "b", 404, time),
        LogEntry("patch", "widgets/status", "default", "a", 200, time),
    ]


@pytest.mark.asyncio
async def test_watch_is_logged_when_it_opens(widget_server, widgets):
    watch = widgets.watch()
    await watch.message()

    assert [(entry.verb, entry.code) for entry in widget_server.log] == [("watch", 200)]
    watch.disconnect()
    await watch.ended()


@pytest.mark.asyncio
async def test_failure_on_demand_is_logged(widget_server, widgets):
    widget_server.faults.fail(status=503, times=1)
    await widgets.request("GET")

    assert widget_server.log[-1].code == 503


@pytest.mark.asyncio
async def test_entries_are_selected_by_verb_and_resource(widget_server, widgets):
    await widgets.create("a")
    await widgets.request("GET", "a")
    await widgets.request("GET")

    assert len(widget_server.log.select(resource="widgets")) == 3
    assert [entry.name for entry in widget_server.log.select(verb="get", resource="widgets")] == ["a"]
    assert widget_server.log.select(resource="gadgets") == []


def test_log_keeps_the_newest_and_can_be_cleared():
    log = RequestLog(capacity=2)
    for name in ("a", "b", "c"):
        log.append(LogEntry("get", "widgets", "", name, 200, datetime(2026, 1, 1, tzinfo=UTC)))

    kept = [entry.name for entry in log]
    log.clear()

    assert kept == ["b", "c"]
    assert len(log) == 0
