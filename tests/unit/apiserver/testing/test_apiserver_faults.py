import threading

import pytest

from signal_gateway.errors import ApiServerError


@pytest.mark.asyncio
async def test_fault_affects_as_many_requests_as_its_times(widget_server, widgets):
    widget_server.faults.fail(verb="list", resource="widgets", status=503, times=2)

    codes = [(await widgets.request("GET"))[0] for _ in range(3)]

    assert codes == [503, 503, 200]


@pytest.mark.asyncio
async def test_fault_without_times_affects_requests_until_it_is_cleared(widget_server, widgets):
    widget_server.faults.fail(status=500)

    before = [(await widgets.request("GET"))[0] for _ in range(3)]
    widget_server.faults.clear()
    after = (await widgets.request("GET"))[0]

    assert before == [500, 500, 500]
    assert after == 200


@pytest.mark.asyncio
async def test_fault_ends_with_its_block(widget_server, widgets):
    with widget_server.faults.fail(verb="list", status=500) as fault:
        inside = (await widgets.request("GET"))[0]
    outside = (await widgets.request("GET"))[0]

    assert (inside, outside) == (500, 200)
    assert fault.hits == 1


@pytest.mark.asyncio
async def test_failed_create_creates_nothing(widget_server, widgets):
    widget_server.faults.fail(verb="create", resource="widgets", status=503, times=1)

    refused = await widgets.request("POST", body={"metadata": {"name": "a"}})
    listed = await widgets.request("GET")

    assert refused[0] == 503
    assert listed[2]["items"] == []


@pytest.mark.asyncio
async def test_failure_is_a_status_with_the_servers_reason_and_retry_after(widget_server, widgets):
    widget_server.faults.fail(status=429, retry_after=7)

    status, headers, body = await widgets.request("GET")

    assert status == 429
    assert headers["retry-after"] == "7"
    assert (body["kind"], body["reason"], body["code"]) == ("Status", "TooManyRequests", 429)
    assert body["details"]["retryAfterSeconds"] == 7


@pytest.mark.asyncio
async def test_reason_can_be_chosen(widget_server, widgets):
    widget_server.faults.fail(status=409, reason="AlreadyExists")

    assert (await widgets.request("GET"))[2]["reason"] == "AlreadyExists"


@pytest.mark.asyncio
async def test_plural_means_the_main_resource_only(widget_server, widgets):
    await widgets.create("a")
    widget_server.faults.fail(verb="patch", resource="widgets", status=500)
    main = await widgets.request("PATCH", "a", {"spec": {"n": 1}})
    status = await widgets.request("PATCH", "a/status", {"status": {"n": 1}})
    widget_server.faults.clear()
    widget_server.faults.fail(verb="patch", resource="widgets/status", status=500)
    main_again = await widgets.request("PATCH", "a", {"spec": {"n": 2}})
    status_again = await widgets.request("PATCH", "a/status", {"status": {"n": 2}})

    assert (main[0], status[0], main_again[0], status_again[0]) == (500, 200, 200, 500)


@pytest.mark.asyncio
async def test_name_and_verb_narrow_a_fault(widget_server, widgets):
    await widgets.create("a")
    await widgets.create("b")
    widget_server.faults.fail(verb="get", name="a", status=500)

    assert (await widgets.request("GET", "a"))[0] == 500
    assert (await widgets.request("GET", "b"))[0] == 200
    assert (await widgets.request("DELETE", "a"))[0] == 200


@pytest.mark.asyncio
async def test_earlier_fault_applies_first_then_the_later_one(widget_server, widgets):
    widget_server.faults.fail(status=500, times=1)
    widget_server.faults.fail(status=503, times=1)

    codes = [(await widgets.request("GET"))[0] for _ in range(3)]

    assert codes == [500, 503, 200]


@pytest.mark.asyncio
async def test_opening_a_watch_can_fail(widget_server, widgets):
    widget_server.faults.fail(verb="watch", status=503, times=1)

    refused = await widgets.watch().response()

    assert refused[0] == 503


@pytest.mark.parametrize("arguments", [{"status": 200}, {"status": 500, "verb": "post"}, {"status": 500, "times": 0}])
def test_fault_that_would_affect_no_request_is_rejected(widget_server, arguments):
    with pytest.raises(ApiServerError):
        widget_server.faults.fail(**arguments)


@pytest.mark.asyncio
async def test_faults_can_be_set_from_another_thread(widget_server, widgets):
    thread = threading.Thread(target=lambda: widget_server.faults.fail(status=500, times=1))
    thread.start()
    thread.join()

    assert (await widgets.request("GET"))[0] == 500
