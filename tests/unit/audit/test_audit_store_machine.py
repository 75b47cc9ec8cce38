"""Whatever is recorded, flushed, broken, killed, forked and closed in any order: nothing is lost, no count lies."""

import os
import shutil
import signal
import tempfile
import traceback
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from signal_gateway.audit import AuditEvent, AuditStoreClosed, AuditStoreConfig, BufferedAuditStore, DataStorageClient
from signal_gateway.audit.wal.rejected import read_rejected

pytestmark = pytest.mark.slow

FAULTS = ["status_500", "status_413", "html_400", "commit_then_drop", "half_a_body"]
DEATHS = ["SIGKILL", "os._exit", "close"]
TIMEOUT = 60


def event(number: int, *, bad: bool) -> AuditEvent:
    return AuditEvent(
        event_type="order.placed",
        event_category="order",
        event_action="placed",
        event_outcome="success",
        correlation_id="order-1",
        severity="bad" if bad else None,
        event_data={"event_type": "order.placed", "number": number},
    )


class StoreMachine(RuleBasedStateMachine):
    """One store at a time, and what it took: `good` and `bad` are its ledger, `stored` the server's."""

    server = None

    def __init__(self):
        super().__init__()
        self.server.script_is_over()
        self.server.stored.clear()
        self.named = True
        self.is_down = False
        self.server.always(self.answer)
        self.good: list[str] = []
        self.bad: list[str] = []
        self.reported_delivered = self.reported_rejected = 0
        self.store = self.make_store()

    def make_store(self):
        return BufferedAuditStore(DataStorageClient(self.server.url), service="machine", config=self.config())

    def config(self):
        return AuditStoreConfig(
            **self.durability(), max_batch_events=4, linger=0.001, initial_backoff=0.001, max_backoff=0.002
        )

    def durability(self):
        return {"durability": "memory"}

    def answer(self, handler, events):
        if self.is_down:
            self.server.status(503)(handler, events)
        else:
            self.server.refusing(lambda one: one.get("severity") == "bad", named=self.named)(handler, events)

    @rule(count=st.integers(1, 10), bad=st.sets(st.integers(0, 9), max_size=2))
    def record(self, count, bad):
        for number in range(count):
            one = event(number, bad=number in bad)
            try:
                self.store.record(one)
            except AuditStoreClosed:
                assert self.store.closed
                return
            assert not self.store.closed
            (self.bad if number in bad else self.good).append(one.event_id)

    @rule(named=st.booleans())
    def change_how_the_server_refuses(self, named):
        self.named = named

    @rule(faults=st.lists(st.sampled_from(FAULTS), min_size=1, max_size=3))
    def break_the_next_answers(self, faults):
        answers = {
            "status_500": self.server.status(500),
            "status_413": self.refuse_more_than_one,
            "html_400": self.server.status(400, b"<html>"),
            "commit_then_drop": self.commit_then_drop,
            "half_a_body": self.half_a_body,
        }
        self.server.script(*(answers[fault] for fault in faults))

    @rule()
    def take_the_server_down(self):
        self.server.script_is_over()
        self.is_down = True

    @rule()
    def bring_the_server_back(self):
        self.is_down = False

    def refuse_more_than_one(self, handler, events):
        (self.answer if len(events) == 1 else self.server.status(413))(handler, events)

    def commit_then_drop(self, handler, events):
        self.lose_the_answer(self.server.commit_then_drop, handler, events)

    def half_a_body(self, handler, events):
        self.lose_the_answer(self.server.half_a_body, handler, events)

    def lose_the_answer(self, answer, handler, events):
        # a server that commits has found nothing wrong
        bad = any(one.get("severity") == "bad" for one in events)
        (handler.drop() if bad else answer(handler, events))

    @rule()
    def flush(self):
        if self.is_down:
            self.check_undelivered(self.store.flush(timeout=0.01))
        else:
            self.check_delivered(self.store.flush(timeout=TIMEOUT))

    def check_undelivered(self, result):
        """Time was up; what the result says must not be more than the server has."""
        self.note(result)
        stored = [one for one in self.good if one in self.server.stored]
        assert result.ok <= (stored == self.good and not result.rejected)
        assert result.pending <= len(self.good) + len(self.bad) - self.reported_delivered - self.reported_rejected
        assert self.reported_delivered <= len(stored)

    def check_delivered(self, result):
        self.note(result)
        assert result.pending == 0
        assert result.ok == (not result.rejected)
        assert len(result.rejections) == len(self.bad)
        assert self.reported_delivered == len(self.good)
        assert self.reported_rejected == len(self.bad)
        ours = set(self.good)
        assert [one for one in self.server.stored if one in ours] == self.good

    def note(self, result):
        self.reported_delivered += result.delivered
        self.reported_rejected += result.rejected

    @precondition(lambda self: len(self.good) > 5 and not self.is_down)
    @rule()
    def close(self):
        self.check_delivered(self.store.close(timeout=TIMEOUT))

    @invariant()
    def counters_add_up(self):
        stats = self.store.stats
        assert stats.recorded == stats.delivered + stats.rejected + stats.pending == len(self.good) + len(self.bad)

    def teardown(self):
        try:
            self.finish()
            with suppress(AuditStoreClosed):
                self.store.record(event(0, bad=False))
                pytest.fail("a closed store took an event")
            self.check_rejected()
        finally:
            self.store.close(timeout=0.0)  # or the server waits for its connection

    def finish(self):
        self.is_down = False
        self.check_delivered(self.store.close(timeout=TIMEOUT))

    def check_rejected(self):
        assert [rejected.event_id for rejected in self.store.rejected_events()] == self.bad


class DirectoryMachine(StoreMachine):
    """Stores that follow each other on one directory, and processes that die beside them on it."""

    def __init__(self):
        self.directory = Path(tempfile.mkdtemp())
        self.earlier_stores = []  # closed in a hurry: their last delivery may go on for a while
        self.left_good: set[str] = set()  # what earlier owners of the directory took
        self.left_bad: set[str] = set()
        super().__init__()

    def durability(self):
        return {"spool_directory": self.directory, "max_spool_bytes": 1024 * 1024}

    @rule()
    def restart(self):
        """Close in a hurry, and leave what is pending to another store."""
        self.note(self.store.close(timeout=0.0))
        self.left_good |= set(self.good)
        self.left_bad |= set(self.bad)
        self.good, self.bad = [], []
        self.reported_delivered = self.reported_rejected = 0
        self.earlier_stores.append(self.store)
        self.store = self.make_store()

    @rule(count=st.integers(1, 12), bad=st.sets(st.integers(0, 9), max_size=1), death=st.sampled_from(DEATHS))
    def live_and_die_in_a_forked_child(self, count, bad, death):
        """The child's store is our own, which has begun anew there; it is told nothing of what we have pending."""
        numbers = range(count)
        events = [event(number, bad=number in bad) for number in numbers]
        child = os.fork()
        if not child:
            self.be_the_child(events, death)
        _, status = os.waitpid(child, 0)

        if death == "SIGKILL":
            assert os.WTERMSIG(status) == signal.SIGKILL
        elif not self.store.closed:
            assert os.waitstatus_to_exitcode(status) == 0
        if not self.store.closed:
            self.left_good |= {one.event_id for one in events if one.severity is None}
            self.left_bad |= {one.event_id for one in events if one.severity is not None}

    def be_the_child(self, events, death):
        status = 1
        try:
            assert self.store.stats.pending == 0
            with suppress(AuditStoreClosed):
                for one in events:
                    self.store.record(one)
            if death == "close":
                self.store.close(timeout=0.0)
            if death == "SIGKILL":
                os.kill(os.getpid(), signal.SIGKILL)
            status = 0
        except BaseException:  # noqa: BLE001 - nothing above this frame may see it: that would be the parent's code
            traceback.print_exc()
        finally:
            os._exit(status)

    def check_rejected(self):
        rejected = {rejected.event_id for rejected in read_rejected(self.directory / "rejected.jsonl")}
        assert rejected == self.left_bad | set(self.bad)

    def teardown(self):
        try:
            super().teardown()
        finally:
            shutil.rmtree(self.directory)

    def finish(self):
        """Close the last store, which recovers what everybody else left."""
        self.is_down = False
        if self.store.closed:
            self.restart()
        for store in self.earlier_stores:
            store.close(timeout=TIMEOUT)  # until then its events belong to it, and not to the last store
        super().finish()
        recovered = self.store.stats.recovered
        assert recovered.pending == recovered.corrupt == 0
        assert set(self.server.stored) == self.left_good | set(self.good)
        assert {path.name for path in self.directory.iterdir()} <= {"rejected.jsonl"}


def run(machine, server, *, examples):
    run_state_machine_as_test(
        type(machine.__name__, (machine,), {"server": server}),
        settings=settings(
            max_examples=examples, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def test_store_in_memory_keeps_its_word_in_any_order_of_calls(fault_server):
    run(StoreMachine, fault_server, examples=80)


def test_stores_on_one_directory_keep_their_word_in_any_order_of_calls_and_deaths(fault_server):
    run(DirectoryMachine, fault_server, examples=80)
