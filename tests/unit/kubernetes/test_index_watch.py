import asyncio
import json
from datetime import UTC, datetime

import httpx2
import pytest

from signal_gateway.clock import MovableClock
from signal_gateway.kubernetes import ApiUnavailable, Forbidden, KubernetesError, KubernetesSetupError, crd_path

NAMESPACE = "kubernaut-system"
FINGERPRINT = "91fce8d5c4949766458bd4bd58859a4fb2e8470ef64ef438c22903744799a9b1"

pytestmark = pytest.mark.asyncio


@pytest.fixture
def connection(scripted_api, tap):
    return tap(scripted_api)


@pytest.fixture
def clock():
    return MovableClock(datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def client(client_of, connection, clock):
    return client_of(transport=connection, clock=clock)


def uids(index):
    return {record.uid for record in index.by_fingerprint(FINGERPRINT)}


def status(code, reason="", **headers):
    return httpx2.Response(code, json={"kind": "Status", "code": code, "reason": reason}, headers=headers)


async def test_first_list_is_complete_before_the_block_begins(scripted_api, client, make_stored_request):
    scripted_api.objects = [make_stored_request("u1", 5), make_stored_request("u2", 6)]

    async with client, client.index(NAMESPACE) as index:
        assert index.is_synced
        assert index.is_alive
        assert uids(index) == {"u1", "u2"}
        assert index.namespace_uid == "the-namespace-uid"


async def test_events_are_taken_in(scripted_api, connection, client, make_stored_request):
    async with client, client.index(NAMESPACE) as index:
        await connection.until(lambda: scripted_api.watches)
        scripted_api.watches[0].send("ADDED", make_stored_request("u1", 11))
        await connection.until(lambda: uids(index) == {"u1"})

        scripted_api.watches[0].send("DELETED", make_stored_request("u1", 12))
        await connection.until(lambda: not uids(index))

    assert scripted_api.watched_from == ["10"]
    assert len(scripted_api.lists) == 1


@pytest.mark.parametrize("character", ["\x85", "\u2028", "\u2029", "\U0001f4a5", "\u0142"])
@pytest.mark.parametrize("size", [1, 2, 3, 10_000])
async def test_character_that_ends_a_line_of_text_ends_no_line_of_a_watch(
    scripted_api, connection, client, make_stored_request, character, size
):
    async with client, client.index(NAMESPACE) as index:
        await connection.until(lambda: scripted_api.watches)
        odd = make_stored_request("u1", 11, phase=f"{character}odd{character}")
        line = json.dumps({"type": "ADDED", "object": odd}, ensure_ascii=False).encode() + b"\n"
        for start in range(0, len(line), size):
            scripted_api.watches[0].put(line[start : start + size])
        await connection.until(lambda: uids(index) == {"u1"})

        assert index.by_fingerprint(FINGERPRINT)[0].phase == f"{character}odd{character}"
        assert len(scripted_api.watches) == 1


async def test_watch_that_ends_goes_on_where_it_was(scripted_api, connection, client, make_stored_request):
    async with client, client.index(NAMESPACE) as index:
        await connection.until(lambda: scripted_api.watches)
        scripted_api.watches[0].send("ADDED", make_stored_request("u1", 11))
        scripted_api.watches[0].end()
        await connection.until(lambda: len(scripted_api.watches) == 2)
        scripted_api.watches[1].send("ADDED", make_stored_request("u2", 12))
        await connection.until(lambda: uids(index) == {"u1", "u2"})

    assert scripted_api.watched_from == ["10", "11"]
    assert len(scripted_api.lists) == 1


async def test_clean_end_and_reconnect_without_an_event_is_a_sign_of_life(scripted_api, connection, client, clock):
    async with client, client.index(NAMESPACE) as index:
        await connection.until(lambda: scripted_api.watches)
        clock.advance(80)
        scripted_api.watches[0].end()
        await connection.until(lambda: len(scripted_api.watches) == 2)
        clock.advance(80)

        assert index.is_alive
        clock.advance(11)
        assert not index.is_alive


async def test_watches_that_are_refused_again_and_again_are_no_sign_of_life(scripted_api, connection, client, clock):
    async with client, client.index(NAMESPACE) as index:
        await connection.until(lambda: scripted_api.watches)
        clock.advance(80)
        scripted_api.failures = [status(503) for _ in range(100)]
        scripted_api.watches[0].put(httpx2.ReadError("reset"))
        await connection.until(lambda: len(scripted_api.failures) < 98)
        assert isinstance(index.last_error, ApiUnavailable)

        clock.advance(11)
        assert not index.is_alive


async def test_index_that_heard_nothing_for_too_long_lists_anew(
    scripted_api, connection, client, clock, make_stored_request
):
    async with client, client.index(NAMESPACE) as index:
        await connection.until(lambda: scripted_api.watches)
        clock.advance(91)
        scripted_api.objects, scripted_api.resource_version = [make_stored_request("u1", 19)], 20
        scripted_api.watches[0].put(httpx2.ReadError("reset"))
        await connection.until(lambda: uids(index) == {"u1"})

        assert index.is_alive
        assert index.last_error is None


@pytest.mark.parametrize("how", ["event", "answer"])
async def test_watch_that_is_too_old_leads_to_a_new_list(scripted_api, connection, client, make_stored_request, how):
    scripted_api.objects = [make_stored_request("u1", 5)]
    if how == "answer":
        scripted_api.watch_failures = [status(410, "Expired")]

    async with client, client.index(NAMESPACE) as index:
        scripted_api.objects, scripted_api.resource_version = [make_stored_request("u2", 19)], 20
        if how == "event":
            await connection.until(lambda: scripted_api.watches)
            scripted_api.watches[0].send("ERROR", {"kind": "Status", "code": 410, "reason": "Expired"})
        await connection.until(lambda: uids(index) == {"u2"})
        await connection.until(lambda: scripted_api.watched_from[-1:] == ["20"])

    assert len(scripted_api.lists) == 2


@pytest.mark.parametrize(
    "break_it",
    [
        lambda watch: watch.put(httpx2.ReadError("reset")),
        lambda watch: watch.put(httpx2.RemoteProtocolError("cut off")),
        lambda watch: (watch.put(b'{"type": "ADDED", "obj'), watch.end()),
        lambda watch: watch.send("ADDED", {"kind": "RemediationRequest"}),
        lambda watch: watch.send("ADDED", {"metadata": {"name": "rr", "resourceVersion": "12"}}),
        lambda watch: watch.send("ERROR", {"kind": "Status", "code": 500}),
    ],
    ids=["reset", "cut off", "cut short", "no metadata", "unreadable object", "error event"],
)
async def test_broken_watch_leads_to_a_new_list(scripted_api, connection, client, make_stored_request, break_it):
    """What it would go on with is a backlog that has no end mark: nobody could tell when it is up to date."""
    async with client, client.index(NAMESPACE) as index:
        await connection.until(lambda: scripted_api.watches)
        scripted_api.watches[0].send("ADDED", make_stored_request("u1", 11))
        scripted_api.objects, scripted_api.resource_version = [make_stored_request("u2", 19)], 20
        break_it(scripted_api.watches[0])
        await connection.until(lambda: len(scripted_api.watches) == 2)

        assert uids(index) == {"u2"}
        assert scripted_api.watches[0].is_closed

    assert scripted_api.watched_from == ["10", "20"]


async def test_index_is_not_watched_from_a_failure_until_the_next_list(scripted_api, connection, client):
    async with client, client.index(NAMESPACE) as index:
        await connection.until(lambda: scripted_api.watches)
        seen_before_the_answer = []
        scripted_api.before_list_answer = lambda: seen_before_the_answer.append(index.is_watched)
        assert index.is_watched

        scripted_api.watches[0].put(httpx2.ReadError("reset"))
        await connection.until(lambda: len(scripted_api.watches) == 2)
        await index.until_watched()

    assert seen_before_the_answer == [False]


async def test_index_stays_watched_over_the_clean_end_of_a_watch(scripted_api, connection, client):
    async with client, client.index(NAMESPACE) as index:
        await connection.until(lambda: scripted_api.watches)
        seen = []
        scripted_api.before_watch_answer = lambda: seen.append(index.is_watched)
        scripted_api.watches[0].end()
        await connection.until(lambda: len(scripted_api.watches) == 2)

    assert seen == [True]


async def test_watch_that_does_not_end_in_time_is_given_up(scripted_api, connection, client, monkeypatch):
    monkeypatch.setattr("signal_gateway.kubernetes.reflector._WATCH_SECONDS", 0)
    monkeypatch.setattr("signal_gateway.kubernetes.reflector._WATCH_GRACE", 0.02)

    async with client, client.index(NAMESPACE):
        await connection.until(lambda: len(scripted_api.watches) == 2)

        assert scripted_api.watches[0].is_closed


async def test_failing_api_is_asked_again_until_the_list_is_there(scripted_api, client, make_stored_request):
    scripted_api.objects = [make_stored_request("u1", 5)]
    scripted_api.failures = [status(503), httpx2.ConnectError("refused"), httpx2.Response(502, text="Bad Gateway")]

    async with client, client.index(NAMESPACE) as index:
        assert uids(index) == {"u1"}
        assert index.last_error is None


async def test_no_list_in_time_is_an_error_with_url_namespace_and_cause(scripted_api, client):
    scripted_api.failures = [status(503, "ServiceUnavailable") for _ in range(100)]

    async with client:
        with pytest.raises(ApiUnavailable) as caught:
            async with client.index(NAMESPACE, sync_timeout=0.05):
                pytest.fail("there is no list")

    assert "http://kubernetes.example" in str(caught.value)
    assert NAMESPACE in str(caught.value)
    assert "503 ServiceUnavailable" in str(caught.value)


async def test_forbidden_list_is_an_error_at_once(scripted_api, client):
    scripted_api.failures = [status(403, "Forbidden")]

    async with client:
        with pytest.raises(Forbidden):
            async with client.index(NAMESPACE):
                pytest.fail("there is no list")

    assert scripted_api.lists == []


@pytest.mark.parametrize(
    "response",
    [
        httpx2.Response(403),
        httpx2.Response(403, content=b'{"kind": "Stat', headers={"Content-Type": "application/json"}),
        httpx2.Response(403, content=b"\xff\xfe\xfd", headers={"Content-Type": "application/json"}),
        httpx2.Response(403, json=["no", "status"]),
    ],
    ids=["no content type", "JSON cut short", "not UTF-8", "JSON that is no Status"],
)
async def test_list_error_that_is_no_proper_status_is_classified_by_its_status_line(scripted_api, client, response):
    scripted_api.failures = [response]

    async with client:
        with pytest.raises(Forbidden) as caught:
            async with client.index(NAMESPACE):
                pytest.fail("there is no list")

    assert caught.value.status == 403


async def test_forbidden_watch_is_tried_again_once_there_was_a_list(scripted_api, connection, client):
    scripted_api.watch_failures = [status(403, "Forbidden")]

    async with client, client.index(NAMESPACE) as index:
        await connection.until(lambda: isinstance(index.last_error, Forbidden) or scripted_api.watches)
        await connection.until(lambda: scripted_api.watches)


async def test_write_during_a_list_is_not_lost(scripted_api, client, connection, make_stored_request):
    async with client, client.index(NAMESPACE) as index:
        await connection.until(lambda: scripted_api.watches)
        scripted_api.before_list_answer = lambda: index.note(make_stored_request("u1", 11))
        scripted_api.watches[0].send("ERROR", {"kind": "Status", "code": 410})
        await connection.until(lambda: len(scripted_api.watches) == 2)

        assert uids(index) == {"u1"}


async def test_users_share_one_watch_that_ends_with_the_last(scripted_api, connection, client):
    async with client:
        async with client.index(NAMESPACE) as first:
            async with client.index(NAMESPACE) as second:
                assert second is first
                await connection.until(lambda: scripted_api.watches)
            assert not scripted_api.watches[0].is_closed
        assert scripted_api.watches[0].is_closed
        assert asyncio.all_tasks() == {asyncio.current_task()}

        async with client.index(NAMESPACE) as third:
            assert third is not first
    assert len(scripted_api.lists) == 2
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_stop_does_not_wait_for_the_next_attempt(scripted_api, connection, client):
    scripted_api.watch_failures = [status(503, **{"Retry-After": "30"})]

    async with asyncio.timeout(5), client, client.index(NAMESPACE) as index:
        await connection.until(lambda: index.last_error is not None or not scripted_api.watch_failures)

    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_user_who_gives_up_does_not_stop_the_others(scripted_api, client):
    scripted_api.failures = [status(503) for _ in range(2)]

    async def use():
        async with client.index(NAMESPACE) as index:
            return index.is_synced

    async with client:
        impatient, patient = asyncio.create_task(use()), asyncio.create_task(use())
        await asyncio.sleep(0)
        impatient.cancel()

        assert await patient
        assert impatient.cancelled()


async def test_close_ends_an_index_in_use(scripted_api, connection, client):
    async with client.index(NAMESPACE):
        await connection.until(lambda: scripted_api.watches)

        await client.aclose()
        await client.aclose()

        assert scripted_api.watches[0].is_closed
        with pytest.raises(KubernetesError, match="closed"):
            await client.ping()


async def test_close_before_the_first_list_is_an_error_for_who_waits(scripted_api, connection, client):
    scripted_api.failures = [status(503) for _ in range(100)]

    async def use():
        async with client.index(NAMESPACE):
            pytest.fail("there is no list")

    waiting = asyncio.create_task(use())
    await connection.until(lambda: len(scripted_api.failures) < 100)
    await client.aclose()

    with pytest.raises(KubernetesError, match="closed before"):
        await waiting


async def test_missing_namespace_is_an_error_with_the_line_that_makes_it(api_server, client_of):
    async with client_of(api_server.url) as client:
        with pytest.raises(KubernetesSetupError, match="kubectl create namespace nowhere") as caught:
            async with client.index("nowhere"):
                pytest.fail("there is no namespace")

    assert not caught.value.is_transient


async def test_missing_crd_is_an_error_with_the_line_that_installs_it(bare_api_server, client_of):
    async with client_of(bare_api_server.url) as client:
        with pytest.raises(KubernetesSetupError) as caught:
            async with client.index(NAMESPACE):
                pytest.fail("there is no CRD")

    assert f"kubectl apply -f {crd_path()}" in str(caught.value)


async def test_index_follows_a_real_server(api_server, client_of, tap, manifest):
    connection = tap(httpx2.AsyncHTTPTransport(verify=False))
    async with client_of(api_server.url, transport=connection) as client, client.index(NAMESPACE) as index:
        created = await client.create_remediation_request(manifest)
        name = created["metadata"]["name"]
        await connection.until(lambda: uids(index) == {created["metadata"]["uid"]})

        await client.patch_remediation_request_status(NAMESPACE, name, {"status": {"overallPhase": "Completed"}})
        await connection.until(lambda: index.by_fingerprint(FINGERPRINT)[0].phase == "Completed")

        assert index.by_fingerprint(FINGERPRINT)[0].is_terminal
        assert index.is_alive
    assert asyncio.all_tasks() == {asyncio.current_task()}
