"""close ends a store for good, in time, and nothing falls between record and close."""

import gc
import logging
import shutil
import signal
import threading
import time

import pytest

from signal_gateway.audit import AuditStoreClosed, AuditStoreConfig, BufferedAuditStore, DataStorageClient

DEADLINE = 60.0
DEEPEST_NESTING = 5
SIGNAL_INTERVAL = 0.0005


def flusher_threads():
    return [thread for thread in threading.enumerate() if thread.name == "audit-flusher-shop"]


def test_close_delivers_what_is_there_and_ends_the_thread(fault_server, make_store, make_event):
    store = make_store(linger=3600)
    store.record(make_event())

    result = store.close()

    assert result.ok
    assert result.delivered == 1
    assert len(fault_server.stored) == 1
    assert not flusher_threads()
    assert store.closed
    assert not store.accepting


def test_record_after_close_is_refused(store, make_event):
    store.close()

    with pytest.raises(AuditStoreClosed):
        store.record(make_event())
    assert store.stats.refused == 1
    assert not flusher_threads()


def test_close_is_idempotent(store, make_event):
    store.record(make_event())
    store.close()

    again = store.close()

    assert again.ok
    assert again.delivered == 0


def test_flush_after_close_returns_at_once(fault_server, make_store, make_event):
    store = make_store()
    fault_server.always(fault_server.status(500))
    store.record(make_event())
    store.close(timeout=0.01)

    result = store.flush(timeout=3600)

    assert result.pending == 1
    assert "500" in result.error


def test_with_closes(fault_server, make_store, make_event):
    with make_store() as store:
        store.record(make_event())

    assert store.closed
    assert len(fault_server.stored) == 1


def test_close_with_the_server_down_returns_in_time_and_says_what_is_pending(
    fault_server, make_store, make_event, caplog
):
    store = make_store(initial_backoff=3600, max_backoff=3600)
    fault_server.stop()
    for number in range(5):
        store.record(make_event(number))

    begin = time.monotonic()
    result = store.close(timeout=0.2)

    assert time.monotonic() - begin < 5
    assert not result.ok
    assert result.pending == 5
    assert "Connect" in result.error
    assert not flusher_threads()
    assert any("5 events undelivered" in record.getMessage() for record in caplog.records)


def test_close_does_not_wait_for_a_server_that_hangs(fault_server, make_store, make_event):
    store = make_store(request_timeout=3600)
    fault_server.always(fault_server.hang)
    store.record(make_event())
    fault_server.wait_for_batch()

    result = store.close(timeout=0.05)

    assert result.pending == 1
    fault_server.release()
    assert store._flusher._finished.wait(DEADLINE)


def test_close_cuts_a_backoff_short(fault_server, make_store, make_event):
    store = make_store(initial_backoff=3600, max_backoff=3600)
    fault_server.script(fault_server.status(500))
    store.record(make_event())
    fault_server.wait_for_batch()

    assert store.close(timeout=DEADLINE).ok


def test_record_racing_close_is_taken_or_refused_and_never_both(fault_server, make_store, make_event):
    for _ in range(10):
        store = make_store()
        together = threading.Barrier(5, timeout=DEADLINE)
        taken, refused, others = [], [], []

        def record_until_closed(store=store, together=together, taken=taken, refused=refused, others=others):
            together.wait()
            try:
                while True:
                    event = make_event()
                    try:
                        store.record(event)
                    except AuditStoreClosed:
                        refused.append(event.event_id)
                        return
                    taken.append(event.event_id)
            except BaseException as exc:  # noqa: BLE001 - the test is that there is none
                others.append(exc)

        threads = [threading.Thread(target=record_until_closed) for _ in range(4)]
        for thread in threads:
            thread.start()
        together.wait()
        result = store.close(timeout=DEADLINE)
        for thread in threads:
            thread.join(DEADLINE)

        assert not others
        assert len(refused) == 4
        assert result.ok
        assert result.pending == 0
        assert store.stats.delivered == store.stats.recorded == len(taken)
        assert set(taken) <= fault_server.stored.keys()
        assert not set(refused) & fault_server.stored.keys()


def test_flushes_racing_closes_all_return(make_store, make_event):
    for _ in range(10):
        store = make_store()
        for number in range(100):
            store.record(make_event(number))
        together = threading.Barrier(6, timeout=DEADLINE)
        results = []

        def end(call, together=together, results=results):
            together.wait()
            results.append(call(timeout=DEADLINE))

        calls = [store.flush, store.close, store.flush, store.close, store.flush, store.close]
        threads = [threading.Thread(target=end, args=(call,)) for call in calls]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(DEADLINE)

        assert len(results) == 6
        assert all(result.ok for result in results)
        assert sum(result.delivered for result in results) == 100


def test_dropped_store_warns_and_still_delivers(fault_server, make_event):
    store = BufferedAuditStore(
        DataStorageClient(fault_server.url), service="shop", config=AuditStoreConfig(durability="memory", linger=3600)
    )
    store.record(make_event())
    (thread,) = flusher_threads()
    store.client.check()  # meanwhile the thread has begun to linger

    with pytest.warns(ResourceWarning, match="never closed"):  # noqa: PT031 - a del is no expression
        del store
        gc.collect()

    thread.join(DEADLINE)
    assert not thread.is_alive()
    assert len(fault_server.stored) == 1


def test_store_is_closed_from_the_flushers_own_thread_without_a_deadlock(fault_server, make_store, make_event):
    store = make_store(initial_backoff=3600, max_backoff=3600)
    closed = []

    class ClosingHandler(logging.Handler):
        def emit(self, _record):
            closed.append(store.close(timeout=3600))

    handler = ClosingHandler()
    logger = logging.getLogger("signal_gateway.audit.delivery.flusher")
    logger.addHandler(handler)
    try:
        fault_server.script(fault_server.status(500))
        store.record(make_event())
        assert store._flusher._finished.wait(DEADLINE)
    finally:
        logger.removeHandler(handler)

    assert closed[0].pending == 1


def test_signal_handler_may_record_while_a_record_is_interrupted(store, make_event):
    from_handler = []
    depth = 0

    def record_too(_signum, _frame):
        nonlocal depth
        depth += 1
        if depth < DEEPEST_NESTING:  # an unbounded one, with signals faster than their handler, ends any program
            signal.setitimer(signal.ITIMER_REAL, SIGNAL_INTERVAL)
        store.record(make_event(len(from_handler)))
        from_handler.append(1)
        depth -= 1
        signal.setitimer(signal.ITIMER_REAL, SIGNAL_INTERVAL)

    before = signal.signal(signal.SIGALRM, record_too)
    signal.setitimer(signal.ITIMER_REAL, SIGNAL_INTERVAL)
    try:
        count = 0
        while len(from_handler) < 50:
            store.record(make_event(count))
            count += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    assert store.flush().ok
    assert store.stats.delivered == count + len(from_handler)


def test_signal_handler_may_close_while_a_record_is_interrupted(fault_server, make_store, make_event):
    for _ in range(5):
        store = make_store()
        results, taken = [], []

        def close(_signum, _frame, store=store, results=results):
            results.append(store.close(timeout=DEADLINE))

        before = signal.signal(signal.SIGALRM, close)
        signal.setitimer(signal.ITIMER_REAL, 0.005)
        try:
            while True:
                event = make_event()
                store.record(event)
                taken.append(event.event_id)
        except AuditStoreClosed:
            pass
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

        assert results[0].pending == 0
        assert store.stats.pending == 0
        assert set(taken) <= fault_server.stored.keys()


def test_events_whose_files_were_removed_are_not_called_kept(
    fault_server, open_store, make_event, spool_directory, caplog
):
    fault_server.always(fault_server.status(503))
    store = open_store()
    store.record(make_event())
    shutil.rmtree(spool_directory)

    result = store.close(timeout=0.1)

    assert result.pending == 1
    assert "kept in" not in caplog.text
    assert f"lost, because their files were removed from {spool_directory}" in caplog.text


def test_events_whose_files_are_there_are_kept(fault_server, open_store, make_event, spool_directory, caplog):
    fault_server.always(fault_server.status(503))
    store = open_store()
    store.record(make_event())

    store.close(timeout=0.1)

    assert f"kept in {spool_directory}" in caplog.text


@pytest.mark.parametrize("status", [401, 403])
def test_reason_of_the_last_delivery_is_told_until_one_succeeds(fault_server, open_store, make_event, status):
    fault_server.always(fault_server.problem(status))
    store = open_store()
    store.record(make_event())
    store.flush(timeout=0.2)
    assert store.stats.delivery_failure.startswith(f"answered {status}")

    fault_server.always(fault_server.store)

    assert store.flush().ok
    assert store.stats.delivery_failure is None
