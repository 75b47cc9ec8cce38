"""Every row of the table of answers, over real sockets."""

import itertools
import logging
import time

import pytest
from tests.support.waiting import wait_until

from signal_gateway.audit import AuditEvent, AuditStoreConfig, BufferedAuditStore, DataStorageClient
from signal_gateway.datastorage import create_datastorage
from signal_gateway.testing import LiveServer


def settled(store):
    stats = store.stats
    assert stats.recorded == stats.delivered + stats.rejected + stats.pending
    return stats


def record_all(store, events: list[AuditEvent]) -> list[str]:
    for event in events:
        store.record(event)
    return [event.event_id for event in events]


def test_event_is_stored_as_it_was_recorded(fault_server, store, make_event):
    event = make_event(7, severity="critical")

    store.record(event)
    result = store.flush()

    assert result.ok
    assert (result.delivered, result.rejected, result.pending, result.error) == (1, 0, 0, None)
    assert fault_server.bodies == [b"[" + event.to_wire() + b"]"]
    assert fault_server.headers[0]["content-type"] == "application/json"


def test_event_is_delivered_without_a_flush(fault_server, store, make_event):
    store.record(make_event())

    fault_server.wait_for_batch()


@pytest.mark.parametrize("status", [200, 202, 204])
def test_2xx_of_a_mock_or_a_proxy_delivers_nothing(fault_server, store, make_event, status):
    fault_server.script(fault_server.status(status))
    ids = record_all(store, [make_event(n) for n in range(5)])

    assert store.flush().ok
    assert store.stats.retries == 1
    assert list(fault_server.stored) == ids


def test_201_of_a_recorded_response_delivers_nothing(fault_server, store, make_event):
    first = record_all(store, [make_event(n) for n in range(3)])
    assert store.flush().ok
    fault_server.script(lambda handler, _: fault_server.reply_201(handler, first))  # what a cassette plays back

    ids = record_all(store, [make_event(n) for n in range(3)])

    assert store.flush().ok
    assert "name other events" in store.stats.last_error
    assert list(fault_server.stored) == first + ids


def test_201_with_an_id_missing_is_not_an_acknowledgement(fault_server, store, make_event):
    fault_server.script(lambda handler, events: fault_server.reply_201(handler, [e["event_id"] for e in events][1:]))
    ids = record_all(store, [make_event(n) for n in range(3)])

    assert store.flush().ok
    assert store.stats.retries == 1
    assert list(fault_server.stored) == ids


def test_batches_hold_no_more_than_configured(fault_server, make_store, make_event):
    store = make_store(max_batch_events=10)
    ids = record_all(store, [make_event(n) for n in range(3000)])

    result = store.flush(timeout=60)

    assert result.ok
    assert result.delivered == 3000
    assert list(fault_server.stored) == ids
    assert {len(batch) for batch in fault_server.batches} <= set(range(1, 11))
    # only while the recording went on could a batch be less than full
    assert len(fault_server.batches) <= 600


def test_batches_hold_no_more_bytes_than_configured(fault_server, make_store, make_event):
    store = make_store(max_batch_bytes=2048)
    fault_server.script(fault_server.status(500))
    record_all(store, [make_event(n) for n in range(50)])

    assert store.flush().ok
    assert max(len(body) for body in fault_server.bodies) <= 2048
    assert max(len(batch) for batch in fault_server.batches) > 1


def test_full_batch_does_not_linger(fault_server, make_store, make_event):
    store = make_store(max_batch_events=3, linger=3600)

    record_all(store, [make_event(n) for n in range(3)])

    fault_server.wait_for_batch()


def test_lone_event_lingers_until_a_flush(fault_server, make_store, make_event):
    store = make_store(linger=3600)
    store.record(make_event())

    assert not fault_server.batches
    assert store.flush().ok


@pytest.mark.parametrize("most", [1, 7, 10, 50])
def test_413_halves_the_batch_and_what_passes_is_remembered(fault_server, make_store, make_event, most):
    store = make_store(max_batch_events=100)
    fault_server.always(fault_server.taking_at_most(most, fault_server.status(413)))
    ids = record_all(store, [make_event(n + 1000) for n in range(100)])
    assert store.flush(timeout=60).ok
    seen = len(fault_server.batches)

    ids += record_all(store, [make_event(n + 1000) for n in range(100)])

    assert store.flush(timeout=60).ok
    assert list(fault_server.stored) == ids
    assert all(len(batch) <= most for batch in fault_server.batches[seen:])


def test_one_huge_event_does_not_shrink_the_batches_of_small_ones(fault_server, make_store, make_event):
    limit = 20_000
    store = make_store(max_batch_events=64)
    fault_server.always(
        lambda handler, events: (
            fault_server.store(handler, events)
            if sum(len(str(event)) for event in events) < limit
            else fault_server.problem(413)(handler, events)
        )
    )
    huge = make_event(1, error_message="x" * limit)
    record_all(store, [make_event(0), huge, *(make_event(n) for n in range(6))])

    result = store.flush(timeout=60)

    assert (result.delivered, result.rejected) == (7, 1)
    assert [rejected.event_id for rejected in store.rejected_events()] == [huge.event_id]
    record_all(store, [make_event(n) for n in range(32)])
    assert store.flush().delivered == 32
    assert max(len(batch) for batch in fault_server.batches[-3:]) > 8


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize("named", [True, False])
def test_one_bad_event_among_500_is_rejected_alone(fault_server, make_store, make_event, status, named, caplog):
    store = make_store(linger=3600)
    fault_server.always(fault_server.refusing(lambda event: event.get("severity") == "bad", named=named, status=status))
    events = [make_event(n, severity="bad" if n == 321 else None) for n in range(500)]
    ids = record_all(store, events)

    result = store.flush()

    assert not result.ok
    assert (result.delivered, result.rejected, result.pending) == (499, 1, 0)
    assert "answered" in result.error or "bad" in result.error
    assert list(fault_server.stored) == [event_id for event_id in ids if event_id != events[321].event_id]
    (rejected,) = store.rejected_events()
    assert rejected.event_id == events[321].event_id
    assert rejected.payload == events[321].to_wire()
    (message,) = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert events[321].event_id in message
    assert store.stats.retries == 0
    if named:
        assert store.stats.batches == 2


@pytest.mark.parametrize("index", range(7))
def test_bad_event_is_found_at_every_index(fault_server, make_store, make_event, index):
    store = make_store(linger=3600)
    fault_server.always(fault_server.refusing(lambda event: event.get("severity") == "bad", named=False))
    ids = record_all(store, [make_event(n, severity="bad" if n == index else None) for n in range(7)])

    result = store.flush()

    assert (result.delivered, result.rejected) == (6, 1)
    assert list(fault_server.stored) == ids[:index] + ids[index + 1 :]


def test_rejected_events_do_not_come_again(fault_server, make_store, make_event):
    store = make_store()
    fault_server.always(fault_server.refusing(lambda event: event.get("severity") == "bad", named=True))
    bad = make_event(0, severity="bad")
    store.record(bad)
    assert store.flush().rejected == 1

    store.record(make_event(1))
    store.flush()

    assert fault_server.received[bad.event_id] == 1


def test_problem_that_names_its_item_at_the_top_rejects_that_one(fault_server, make_store, make_event):
    store = make_store(linger=3600)
    fault_server.script(fault_server.problem(400, index=1))
    ids = record_all(store, [make_event(n) for n in range(3)])

    assert store.flush().rejected == 1
    assert list(fault_server.stored) == [ids[0], ids[2]]


def test_problem_with_indices_out_of_range_is_bisected(fault_server, make_store, make_event):
    store = make_store(linger=3600)
    fault_server.script(fault_server.problem(400, errors=[{"index": 99}, {"index": -1}, {"index": True}, "nonsense"]))
    ids = record_all(store, [make_event(n) for n in range(4)])

    assert store.flush().ok
    assert list(fault_server.stored) == ids


def test_400_about_the_size_is_found_out_and_remembered(fault_server, make_store, make_event):
    store = make_store(max_batch_events=100, linger=3600)
    fault_server.always(fault_server.taking_at_most(25, fault_server.problem(400)))
    ids = record_all(store, [make_event(n) for n in range(100)])
    result = store.flush()
    assert result.ok
    assert result.rejected == 0
    seen = len(fault_server.batches)

    ids += record_all(store, [make_event(n) for n in range(100)])

    assert store.flush().ok
    assert list(fault_server.stored) == ids
    assert [len(batch) for batch in fault_server.batches[seen:]] == [25, 25, 25, 25]


FAULTS = {
    "400 that is no problem+json": lambda s: s.status(400, b'{"error": "no"}', "application/json"),
    "422 that is a page of HTML": lambda s: s.status(422, b"<html>"),
    "400 that is the problem of a proxy": lambda s: s.problem(400, instance="/waf/incidents/1"),
    "422 that is the problem of a proxy": lambda s: s.problem(422, instance="about:blank"),
    "401": lambda s: s.problem(401),
    "403": lambda s: s.problem(403),
    "404": lambda s: s.status(404, b"<html>not here"),
    "405": lambda s: s.status(405),
    "408": lambda s: s.status(408),
    "429": lambda s: s.status(429),
    "500": lambda s: s.status(500),
    "502": lambda s: s.status(502, b"<html>bad gateway"),
    "503": lambda s: s.problem(503),
    "a redirect": lambda s: s.status(302, location="http://127.0.0.1:1/elsewhere"),
    "308": lambda s: s.status(308, location="/api/v2"),
    "200": lambda s: s.status(200, b'{"event_ids": []}', "application/json"),
    "204": lambda s: s.status(204),
    "201 that is a page of HTML": lambda s: s.status(201, b"<html>welcome"),
    "201 with a list": lambda s: s.status(201, b"[]", "application/json"),
    "a lost answer": lambda s: s.commit_then_drop,
    "half a body": lambda s: s.half_a_body,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_that_is_not_the_events_keeps_them_until_it_is_over(fault_server, make_store, make_event, fault):
    store = make_store(linger=3600)
    answer = FAULTS[fault](fault_server)
    fault_server.script(answer, answer)
    ids = record_all(store, [make_event(n) for n in range(3)])

    result = store.flush()

    assert result.ok
    assert list(fault_server.stored) == ids
    stats = settled(store)
    assert (stats.delivered, stats.rejected, stats.retries) == (3, 0, 2)
    assert fault_server.batches == [ids, ids, ids]


def test_single_event_that_a_proxy_finds_too_large_stays_and_is_retried(fault_server, make_store, make_event):
    store = make_store()
    fault_server.always(fault_server.status(413, b"<html>"))
    ids = record_all(store, [make_event(n) for n in range(20)])

    result = store.flush(timeout=0.2)

    assert (result.rejected, result.pending) == (0, 20)
    assert "answered 413 (text/html), in the words of a proxy or another server" in result.error
    fault_server.always(fault_server.store)
    assert store.flush().ok
    assert list(fault_server.stored) == ids


def test_batch_that_a_proxy_finds_too_large_arrives_in_smaller_ones(fault_server, make_store, make_event):
    store = make_store(linger=3600)
    fault_server.always(fault_server.taking_at_most(3, fault_server.status(413, b"<html>")))
    ids = record_all(store, [make_event(n) for n in range(20)])

    assert store.flush().ok
    assert list(fault_server.stored) == ids


def test_hanging_server_is_left_after_the_clients_timeout(fault_server, make_store, make_event):
    store = make_store(request_timeout=0.05)
    fault_server.script(fault_server.hang)
    store.record(make_event())

    assert store.flush().ok
    assert store.stats.retries == 1
    assert "ReadTimeout" in store.stats.last_error


def test_retry_after_is_waited_for_also_by_a_flush(fault_server, make_store, make_event):
    store = make_store()
    fault_server.script(fault_server.status(429, retry_after="3600"))
    store.record(make_event())
    wait_until(lambda: store.stats.last_error)
    assert store.flush(timeout=0.05).pending == 1

    result = store.flush(timeout=0.05)

    assert result.pending == 1
    assert "429" in result.error
    assert len(fault_server.batches) == 1
    assert store.close(timeout=0.05).pending == 1


def test_429_with_retry_after_waits_then_delivers(fault_server, make_store, make_event):
    store = make_store()
    answered = []
    too_many = fault_server.status(429, retry_after="1")
    fault_server.script(lambda handler, events: (answered.append(time.monotonic()), too_many(handler, events)))
    fault_server.always(
        lambda handler, events: (answered.append(time.monotonic()), fault_server.store(handler, events))
    )
    store.record(make_event())

    assert store.flush().ok
    assert answered[1] - answered[0] >= 1.0


def test_flush_cuts_a_backoff_short(fault_server, make_store, make_event):
    store = make_store(initial_backoff=3600, max_backoff=3600)
    fault_server.script(fault_server.status(500))
    store.record(make_event())
    fault_server.wait_for_batch()

    assert store.flush().ok


def test_server_that_comes_back_gets_what_was_recorded_without_it(fault_server, make_store, make_event):
    store = make_store()
    store.client.close()
    fault_server.stop()
    ids = record_all(store, [make_event(n) for n in range(2500)])
    assert store.flush(timeout=0.05).pending == 2500
    wait_until(lambda: "ConnectError" in (store.stats.last_error or ""))

    fault_server.start()

    result = store.flush()
    assert result.ok
    assert result.delivered == 2500
    assert list(fault_server.stored) == ids


def test_lost_answers_make_no_duplicates(fault_server, make_store, make_event):
    store = make_store(max_batch_events=5, linger=3600)
    faults = itertools.cycle([fault_server.commit_then_drop, fault_server.store, fault_server.half_a_body])
    fault_server.script(*itertools.islice(faults, 30))
    ids = record_all(store, [make_event(n) for n in range(50)])

    assert store.flush().ok
    assert list(fault_server.stored) == ids
    assert settled(store).delivered == 50


def test_alarm_is_raised_once_a_minute(fault_server, make_store, make_event, caplog):
    store = make_store()
    fault_server.script(*[fault_server.status(503)] * 20)
    store.record(make_event())

    assert store.flush().ok

    alarms = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(alarms) == 1
    assert "503" in alarms[0].getMessage()


def test_unexpected_exception_in_a_delivery_does_not_end_the_flusher(make_store, make_event):
    store = make_store()
    deliver, fails = store.client.deliver, iter([True, False])
    store.client.deliver = lambda body, count: 1 / 0 if next(fails, False) else deliver(body, count)
    store.record(make_event())

    assert store.flush().ok
    assert "ZeroDivisionError" in store.stats.last_error


def test_real_datastorage_with_a_lower_limit_is_asked_for_it_once(tmp_path, make_event):
    datastorage = create_datastorage(f"sqlite:///{tmp_path}/audit.db", max_batch_events=10)
    config = AuditStoreConfig(spool_directory=tmp_path / "spool", linger=3600)
    with (
        LiveServer(datastorage.app, name="DataStorage", lifespan="on") as server,
        BufferedAuditStore(DataStorageClient(server.url), service="shop", config=config) as store,
    ):
        record_all(store, [make_event(n) for n in range(100)])

        assert store.flush().ok
        assert store.stats.batches == 1 + 10
        assert store.stats.rejected == 0
