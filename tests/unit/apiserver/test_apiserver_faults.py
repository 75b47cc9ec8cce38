import threading

import pytest

from signal_gateway.errors import ApiServerError


@pytest.mark.asyncio
async def test_fault_strikes_as_often_as_it_was_told(server, widgets):
    server.faults.fail(verb="list", resource="widgets", status=503, times=2)

    codes = [(await widgets.ask("GET"))[0] for _ in range(3)]

    assert codes == [503, 503, 200]


@pytest.mark.asyncio
async def test_fault_without_a_number_strikes_until_it_is_cleared(server, widgets):
    server.faults.fail(status=500)

    before = [(await widgets.ask("GET"))[0] for _ in range(3)]
    server.faults.clear()
    after = (await widgets.ask("GET"))[0]

    assert before == [500, 500, 500]
    assert after == 200


@pytest.mark.asyncio
async def test_fault_ends_with_its_block(server, widgets):
    with server.faults.fail(verb="list", status=500) as fault:
        inside = (await widgets.ask("GET"))[0]
    outside = (await widgets.ask("GET"))[0]

    assert (inside, outside) == (500, 200)
    assert fault.hits == 1


@pytest.mark.asyncio
async def test_failed_create_creates_nothing(server, widgets):
    server.faults.fail(verb="create", resource="widgets", status=503, times=1)

    refused = await widgets.ask("POST", body={"metadata": {"name": "a"}})
    listed = await widgets.ask("GET")

    assert refused[0] == 503
    assert listed[2]["items"] == []


@pytest.mark.asyncio
async def test_failure_is_a_status_with_the_servers_reason_and_retry_after(server, widgets):
    server.faults.fail(status=429, retry_after=7)

    status, headers, body = await widgets.ask("GET")

    assert status == 429
    assert headers["retry-after"] == "7"
    assert (body["kind"], body["reason"], body["code"]) == ("Status", "TooManyRequests", 429)
    assert body["details"]["retryAfterSeconds"] == 7


@pytest.mark.asyncio
async def test_reason_can_be_chosen(server, widgets):
    server.faults.fail(status=409, reason="AlreadyExists")

    assert (await widgets.ask("GET"))[2]["reason"] == "AlreadyExists"


@pytest.mark.asyncio
async def test_plural_means_the_main_resource_only(server, widgets):
    await widgets.create("a")
    server.faults.fail(verb="patch", resource="widgets", status=500)
    main = await widgets.ask("PATCH", "a", {"spec": {"n": 1}})
    status = await widgets.ask("PATCH", "a/status", {"status": {"n": 1}})
    server.faults.clear()
    server.faults.fail(verb="patch", resource="widgets/status", status=500)
    main_again = await widgets.ask("PATCH", "a", {"spec": {"n": 2}})
    status_again = await widgets.ask("PATCH", "a/status", {"status": {"n": 2}})

    assert (main[0], status[0], main_again[0], status_again[0]) == (500, 200, 200, 500)


@pytest.mark.asyncio
async def test_name_and_verb_narrow_a_fault(server, widgets):
    await widgets.create("a")
    await widgets.create("b")
    server.faults.fail(verb="get", name="a", status=500)

    assert (await widgets.ask("GET", "a"))[0] == 500
    assert (await widgets.ask("GET", "b"))[0] == 200
    assert (await widgets.ask("DELETE", "a"))[0] == 200


@pytest.mark.asyncio
async def test_earlier_fault_comes_first_and_makes_room_for_the_later(server, widgets):
    server.faults.fail(status=500, times=1)
    server.faults.fail(status=503, times=1)

    codes = [(await widgets.ask("GET"))[0] for _ in range(3)]

    assert codes == [500, 503, 200]


@pytest.mark.asyncio
async def test_opening_a_watch_can_fail(server, widgets):
    server.faults.fail(verb="watch", status=503, times=1)

    refused = await widgets.watch().answer()

    assert refused[0] == 503


@pytest.mark.parametrize("arguments", [{"status": 200}, {"status": 500, "verb": "post"}, {"status": 500, "times": 0}])
def test_fault_that_would_never_strike_is_refused(server, arguments):
    with pytest.raises(ApiServerError):
        server.faults.fail(**arguments)


@pytest.mark.asyncio
async def test_faults_can_be_set_from_another_thread(server, widgets):
    thread = threading.Thread(target=lambda: server.faults.fail(status=500, times=1))
    thread.start()
    thread.join()

    assert (await widgets.ask("GET"))[0] == 500
