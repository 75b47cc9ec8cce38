"""Whatever is recorded, flushed, broken and closed in whatever order: the counters add up and nothing is lost."""

from contextlib import suppress

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from signal_gateway.audit import AuditEvent, AuditStoreClosed, AuditStoreConfig, BufferedAuditStore, DataStorageClient

FAULTS = ["status_500", "status_413", "html_400", "commit_then_drop", "half_a_body"]


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
    server = None

    def __init__(self):
        super().__init__()
        self.server.script_is_over()
        self.server.stored.clear()
        self.named = True
        self.server.always(self.answer)
        config = AuditStoreConfig(
            durability="memory", max_batch_events=4, linger=0.001, initial_backoff=0.001, max_backoff=0.002
        )
        self.store = BufferedAuditStore(DataStorageClient(self.server.url), service="machine", config=config)
        self.good: list[str] = []
        self.bad: list[str] = []
        self.reported_delivered = self.reported_rejected = 0

    def answer(self, handler, events):
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
        self.check(self.store.flush(timeout=10))

    @precondition(lambda self: len(self.good) > 5)
    @rule()
    def close(self):
        self.check(self.store.close(timeout=10))

    def check(self, result):
        assert result.pending == 0
        assert result.ok == (not self.bad)
        self.reported_delivered += result.delivered
        self.reported_rejected += result.rejected
        assert self.reported_delivered == len(self.good)
        assert self.reported_rejected == len(self.bad)
        assert list(self.server.stored) == self.good

    @invariant()
    def counters_add_up(self):
        stats = self.store.stats
        assert stats.recorded == stats.delivered + stats.rejected + stats.pending == len(self.good) + len(self.bad)

    def teardown(self):
        self.check(self.store.close(timeout=10))
        assert [rejected.event_id for rejected in self.store.rejected_events()] == self.bad
        with suppress(AuditStoreClosed):
            self.store.record(event(0, bad=False))
            pytest.fail("a closed store took an event")


def test_store_keeps_its_word_in_any_order_of_calls(server):
    machine = type("Machine", (StoreMachine,), {"server": server})

    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=100, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
