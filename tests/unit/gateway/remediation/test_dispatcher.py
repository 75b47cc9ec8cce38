"""The invariant of the dispatcher: decisions start in payload order, one at a time for each fingerprint."""

import asyncio
from datetime import UTC, datetime

import pytest

from signal_gateway.clock import SystemClock
from signal_gateway.concurrency import BackgroundTasks
from signal_gateway.gateway.remediation import dispatcher as dispatcher_module
from signal_gateway.gateway.remediation.creation import Created
from signal_gateway.gateway.remediation.deduplication import Notifications
from signal_gateway.gateway.remediation.dispatcher import Dispatcher
from signal_gateway.gateway.remediation.outcome import Outcome, Prepared
from signal_gateway.gateway.signals.signal import InvalidSignal, Signal, Target
from signal_gateway.kubernetes import RemediationRecord

pytestmark = pytest.mark.asyncio

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def signal(name, workload):
    return Signal(
        name=name,
        severity="critical",
        status="firing",
        source="test",
        target=Target("Deployment", workload, "prod", "apps/v1"),
        namespace="prod",
        labels={},
        annotations={},
        fired_at=NOW,
        received_at=NOW,
        payload={},
    )


class Preparation:
    """Prepares each signal as soon as the test lets it."""

    def __init__(self):
        self.begun = []
        self._gates = {}

    def hold(self, name):
        self._gates[name] = asyncio.Event()
        return self._gates[name]

    async def prepare(self, incoming):
        self.begun.append(incoming.signal.name)
        if incoming.signal.name in self._gates:
            await self._gates[incoming.signal.name].wait()
        if isinstance(incoming.signal, InvalidSignal):
            return Outcome(status="invalid", message="invalid", fingerprint=None)
        if incoming.signal.name == "broken":
            raise RuntimeError("on purpose")
        return Prepared(
            signal=incoming.signal,
            fingerprint=incoming.signal.fingerprint,
            signal_type=incoming.signal_type,
            request_id=incoming.request_id,
            idempotency_key=incoming.idempotency_key,
            deadline=incoming.deadline,
        )


class Creation:
    """Creates a RemediationRequest for every signal, some turns of the loop later."""

    def __init__(self):
        self.begun = []
        self.keys = []
        self.under_way = {}
        self.most_of_a_fingerprint = 0
        self.most = 0

    async def create(self, prepared):
        fingerprint = prepared.fingerprint
        self.begun.append(prepared.signal.name)
        self.keys.append(prepared.idempotency_key)
        self.under_way[fingerprint] = self.under_way.get(fingerprint, 0) + 1
        self.most_of_a_fingerprint = max(self.most_of_a_fingerprint, self.under_way[fingerprint])
        self.most = max(self.most, sum(self.under_way.values()))
        for _ in range(5):
            await asyncio.sleep(0)
        self.under_way[fingerprint] -= 1
        return Created(
            RemediationRecord(
                uid=prepared.idempotency_key,
                name=prepared.signal.name,
                namespace="kubernaut-system",
                fingerprint=fingerprint,
                phase=None,
                outcome=None,
                created_at=NOW,
                next_allowed_execution=None,
                resource_version="1",
            )
        )


class NoRequests:
    namespace = "kubernaut-system"

    @property
    def index(self):
        return self

    def by_fingerprint(self, fingerprint):  # noqa: ARG002
        return ()


class Trial:
    def __init__(self):
        self.preparation = Preparation()
        self.creation = Creation()
        self.tasks = BackgroundTasks()
        self.notifications = Notifications(clock=SystemClock())
        self._dispatcher = Dispatcher(
            NoRequests(),
            preparation=self.preparation,
            creation=self.creation,
            counter=None,
            audit=None,
            recorder=None,
            metrics=None,
            clock=SystemClock(),
            tasks=self.tasks,
        )

    async def dispatch(self, *signals, notification=None):
        deadline = asyncio.get_running_loop().time() + 60
        return await self._dispatcher.dispatch(
            signals,
            signal_type="alert",
            request_id="r",
            deadline=deadline,
            notification=notification or await self.notification(),
        )

    async def notification(self):
        async def is_sender_gone():
            return False

        return await self.notifications.begin(None, is_sender_gone=is_sender_gone)


@pytest.fixture
def trial():
    return Trial()


async def turns(number=50):
    for _ in range(number):
        await asyncio.sleep(0)


async def test_decisions_start_in_payload_order_though_preparations_end_in_another(trial):
    gates = [trial.preparation.hold(name) for name in "abc"]
    work = asyncio.create_task(trial.dispatch(signal("a", "1"), signal("b", "2"), signal("c", "3")))
    await turns()
    assert trial.preparation.begun == ["a", "b", "c"]

    for gate in reversed(gates):
        gate.set()
        await turns()
        assert trial.creation.begun == ([] if gate is not gates[0] else ["a", "b", "c"])

    assert [outcome.record.name for outcome in await work] == ["a", "b", "c"]
    assert trial.creation.keys == ["r/0", "r/1", "r/2"]


async def test_signals_before_a_slow_one_are_decided_and_those_after_it_wait(trial):
    gate = trial.preparation.hold("b")
    work = asyncio.create_task(trial.dispatch(signal("a", "1"), signal("b", "2"), signal("c", "3")))
    await turns()

    assert trial.creation.begun == ["a"]
    gate.set()
    await work
    assert trial.creation.begun == ["a", "b", "c"]


async def test_signals_of_one_fingerprint_are_decided_one_at_a_time_and_others_meanwhile(trial):
    signals = [signal(f"{workload}{number}", workload) for number in range(20) for workload in "xy"]

    await trial.dispatch(*signals)

    assert trial.creation.most_of_a_fingerprint == 1
    assert trial.creation.most == 2
    for workload in "xy":
        begun = [name for name in trial.creation.begun if name.startswith(workload)]
        assert begun == [f"{workload}{number}" for number in range(20)]


async def test_no_more_signals_than_the_limit_are_under_way(trial, monkeypatch):
    monkeypatch.setattr(dispatcher_module, "_MAX_CONCURRENT", 3)
    gate = trial.preparation.hold("s0")
    work = asyncio.create_task(trial.dispatch(*(signal(f"s{number}", str(number)) for number in range(10))))
    await turns()
    assert trial.preparation.begun == ["s0", "s1", "s2"]

    gate.set()
    await work

    assert trial.creation.begun == [f"s{number}" for number in range(10)]
    assert trial.creation.most <= 3


async def test_outcomes_are_in_payload_order_with_those_that_need_no_decision(trial):
    invalid = InvalidSignal(reason="shape", message="no", source="test", name="i")

    outcomes = await trial.dispatch(invalid, signal("a", "1"), invalid)

    assert [outcome.status for outcome in outcomes] == ["invalid", "created", "invalid"]


async def test_unexpected_error_of_one_signal_does_not_stop_the_others(trial):
    with pytest.raises(RuntimeError, match="on purpose"):
        await trial.dispatch(signal("a", "1"), signal("broken", "2"), signal("c", "3"))

    await trial.tasks.settle()
    assert trial.creation.begun == ["a", "c"]


async def test_signal_that_waits_for_its_place_does_not_begin_after_the_request_failed(trial, monkeypatch):
    monkeypatch.setattr(dispatcher_module, "_MAX_CONCURRENT", 1)
    gate = trial.preparation.hold("a")
    notification = await trial.notification()
    work = asyncio.create_task(trial.dispatch(signal("a", "1"), signal("b", "2"), notification=notification))
    await turns()
    trial.notifications.end(notification, has_failed=True)

    gate.set()
    outcomes = await work

    assert trial.preparation.begun == ["a"]
    assert len(outcomes) == 1
