"""A model of several replicas that decide about one problem, for a search of everything that can happen.

The API server is a log: each change of an object appends to it. A replica knows a prefix of the log, by its watch, and
what the answers to its own calls told it ahead of that. Everything between two calls is one step, and so is every call
as the server carries it out; all steps interleave in every way. What is decided is decided by the product's own
functions. The steps are those of `Dispatcher._remediate`, `Creation.create` and `OccurrenceCounter._commit`.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Literal, NamedTuple

from signal_gateway.gateway.remediation.deduplication import DuplicateOf, decide
from signal_gateway.gateway.remediation.requests import newest_ended, remediation_request_name
from signal_gateway.kubernetes import RemediationRecord

FINGERPRINT = "f" * 64
NOW = datetime(2026, 1, 1, tzinfo=UTC)  # all within one second: timestamps tell nothing

Status = Literal["active", "ended", "deleting", "gone"]
Deletions = Literal["heard", "all but the newest", "unheard", "young", "young but the newest"]


class Change(NamedTuple):
    """One entry of the server's log: an object as it was from then on."""

    uid: int
    status: Status


class Seen(NamedTuple):
    """An object as somebody saw it: `version` is the number of its newest change then."""

    uid: int
    status: Status
    version: int


class Replica(NamedTuple):
    """What a replica knows.

    Attributes:
        heard: How many changes its watch has told.
        noted: Objects as the answers to its own calls showed them, where that is ahead of the watch.
        forgotten: Objects that its own calls found gone, and that the watch has told nothing of since.
        lane: The request that is being decided; None if the lane is free.
    """

    heard: int
    noted: tuple[Seen, ...] = ()
    forgotten: tuple[int, ...] = ()
    lane: int | None = None


class Request(NamedTuple):
    """A signal, and how far its handling has come.

    Attributes:
        replica: Where it came in.
        step: What comes next: `waiting` for the lane, a `create`, `read` or `count` for the server to carry out, or the
            answer to one for the replica to take, and at last `created`, `duplicate` or `failed`.
        name: Of the object that the call is about.
        seen: The object that the call or its answer is about.
        found: Objects that reads by name found.
        attempt: Of the create.
        tries: How often the names were derived anew.
        since: How many changes the replica had heard when it began.
    """

    replica: int
    step: str = "waiting"
    name: str = ""
    seen: Seen | None = None
    found: tuple[Seen, ...] = ()
    attempt: int = 1
    tries: int = 0
    since: int = -1


class State(NamedTuple):
    """Everything: the log, the objects' names and makers, the replicas, the requests, and what may still happen."""

    log: tuple[Change, ...]
    names: tuple[str, ...]
    makers: tuple[int, ...]
    replicas: tuple[Replica, ...]
    requests: tuple[Request, ...]
    losses: int
    ends: int
    deletions: int
    restarts: int


@dataclass(frozen=True)
class Rules:
    """What is searched: the product as it is, or with one rule broken.

    Attributes:
        deletions: `heard`: an ended object goes when nothing is in flight, and everybody hears it before deciding anew.
            `unheard`: it goes when everybody has heard of its end, and what began before is finished. `young`: at any
            time. `all but the newest`, `young but the newest`: as `unheard` and `young`, but the newest ended stays.
        name_tells_history: Whether a name is derived from the newest ended object.
        count_checks_version: Whether a count fails on an object that has changed.
        conflict_is_read: Whether what has the name is looked at after a 409.
        newest_by_chain: Whether the newest ended object is found along the chain of names.
        own_create_is_known: Whether a create whose answer was lost is known again by its annotation.
    """

    deletions: Deletions = "heard"
    name_tells_history: bool = True
    count_checks_version: bool = True
    conflict_is_read: bool = True
    newest_by_chain: bool = True
    own_create_is_known: bool = True


class Found(Exception):  # noqa: N818 - what a search is for
    """A state that must not be, and how it comes about."""

    def __init__(self, what: str, trace: list[str]) -> None:
        super().__init__(f"{what}:\n  " + "\n  ".join(trace))
        self.what = what
        self.trace = trace


_MAX_TRIES = 4
_MAX_ATTEMPTS = 2


def begin(
    *, requests: tuple[int, ...], losses: int, ends: int, deletions: int, restarts: int, ended: int = 0, behind: int = 0
) -> State:
    """Return a first state.

    Args:
        requests: For each signal the replica where it comes in.
        losses: How many answers to creates may be lost.
        ends: How many objects may end.
        deletions: How many may be deleted.
        restarts: How many replicas may die with what they know and start anew.
        ended: How many ended objects there are to begin with, each the successor of the one before.
        behind: Of how many of these the last replica has not heard yet.
    """
    log: list[Change] = []
    names: list[str] = []
    for uid in range(ended):
        names.append(_name(None if uid == 0 else uid - 1, 0))
        log += [Change(uid, "active"), Change(uid, "ended")]
    replicas = (*(Replica(len(log)) for _ in range(max(requests))), Replica(len(log) - 2 * behind))
    return State(
        tuple(log),
        tuple(names),
        (-1,) * ended,
        replicas,
        tuple(Request(replica) for replica in requests),
        losses,
        ends,
        deletions,
        restarts,
    )


def search(first: State, rules: Rules | None = None) -> int:
    """Visit every state that can come of a first one.

    Returns:
        How many there are.

    Raises:
        Found: One of them must not be; its trace is among the shortest.
    """
    rules = rules or Rules()
    came_by: dict[State, tuple[State, str] | None] = {first: None}
    to_visit = deque([first])
    while to_visit:
        state = to_visit.popleft()
        is_last = True
        for said, following in _steps(state, rules):
            is_last = False
            if isinstance(following, str):
                raise Found(following, [*_trace(state, came_by), said])
            if following in came_by:
                continue
            came_by[following] = (state, said)
            wrong = _wrong(following)
            if wrong is not None:
                raise Found(wrong, _trace(following, came_by))
            to_visit.append(following)
        if is_last and any(request.step not in _DONE for request in state.requests):
            raise Found("a signal is never answered", _trace(state, came_by))
    return len(came_by)


def _trace(state: State, came_by: dict[State, tuple[State, str] | None]) -> list[str]:
    said = []
    origin = came_by[state]
    while origin is not None:
        state, text = origin
        said.append(text)
        origin = came_by[state]
    return said[::-1]


def _wrong(state: State) -> str | None:
    active = [uid for uid, status in enumerate(_statuses(state.log)) if status == "active"]
    return f"two are active: {active}" if len(active) > 1 else None


# --- the server -------------------------------------------------------------------------------------------------------


@cache
def _statuses(log: tuple[Change, ...]) -> tuple[Status, ...]:
    found: dict[int, Status] = {change.uid: change.status for change in log}
    return tuple(found[uid] for uid in range(len(found)))


@cache
def _version(log: tuple[Change, ...], uid: int) -> int:
    return max(number for number, change in enumerate(log, 1) if change.uid == uid)


def _named(state: State, name: str) -> Seen | None:
    statuses = _statuses(state.log)
    for uid, status in enumerate(statuses):
        if state.names[uid] == name and status != "gone":
            return Seen(uid, status, _version(state.log, uid))
    return None


def _changed(state: State, uid: int, status: Status) -> State:
    return state._replace(log=(*state.log, Change(uid, status)))


# --- a replica's index ------------------------------------------------------------------------------------------------


@cache
def _known(log: tuple[Change, ...], replica: Replica) -> tuple[Seen, ...]:
    """Return what `RemediationRequestIndex` has."""
    known = {
        change.uid: Seen(change.uid, change.status, number) for number, change in enumerate(log[: replica.heard], 1)
    }
    for seen in replica.noted:
        if seen.uid not in known or known[seen.uid].version < seen.version:
            known[seen.uid] = seen
    return tuple(seen for uid, seen in sorted(known.items()) if seen.status != "gone" and uid not in replica.forgotten)


def _note(replica: Replica, seen: Seen) -> Replica:
    noted = {other.uid: other for other in replica.noted}
    if seen.uid not in noted or noted[seen.uid].version < seen.version:
        noted[seen.uid] = seen
    forgotten = tuple(uid for uid in replica.forgotten if uid != seen.uid)
    return replica._replace(noted=tuple(sorted(noted.values())), forgotten=forgotten)


def _hear(state: State, replica: Replica) -> Replica:
    change = state.log[replica.heard]
    return replica._replace(
        heard=replica.heard + 1,
        # what the watch has told by now needs no note any more
        noted=tuple(seen for seen in replica.noted if seen.version > replica.heard + 1),
        forgotten=tuple(uid for uid in replica.forgotten if uid != change.uid),
    )


# --- what the product decides -----------------------------------------------------------------------------------------


@cache
def _name(previous: int | None, clashes: int) -> str:
    uid = None if previous is None else f"u{previous}"
    return remediation_request_name(namespace_uid="ns", fingerprint=FINGERPRINT, previous_uid=uid, clashes=clashes)


@cache
def _record(name: str, seen: Seen) -> RemediationRecord:
    return RemediationRecord(
        uid=f"u{seen.uid}",
        name=name,
        namespace="kubernaut-system",
        fingerprint=FINGERPRINT,
        phase="Completed" if seen.status == "ended" else "Pending",
        outcome=None,
        created_at=NOW,
        next_allowed_execution=None,
        resource_version=str(seen.version),
        being_deleted=seen.status == "deleting",
    )


@cache
def _verdict(names: tuple[str, ...], known: tuple[Seen, ...]) -> Seen | None:
    """Return what a signal is a duplicate of; None if one is to be created."""
    records = {f"u{seen.uid}": seen for seen in known}
    verdict = decide([_record(names[seen.uid], seen) for seen in known], now=NOW)
    return records[verdict.record.uid] if isinstance(verdict, DuplicateOf) else None


@cache
def _next_name(names: tuple[str, ...], known: tuple[Seen, ...], rules: Rules) -> str:
    if not rules.name_tells_history:
        return _name(None, 0)
    records = [_record(names[seen.uid], seen) for seen in known]
    if rules.newest_by_chain:
        newest = newest_ended(records, namespace_uid="ns", fingerprint=FINGERPRINT)
    else:
        ended = [record for record in records if not record.is_active]
        newest = max(ended, key=lambda record: (record.created_at, record.name), default=None)
    return _name(None if newest is None else int(newest.uid[1:]), 0)


def _merged(found: tuple[Seen, ...], known: tuple[Seen, ...]) -> tuple[Seen, ...]:
    """Do what `Creation._known` does: the index wins over what was found by name."""
    by_uid = {seen.uid: seen for seen in found} | {seen.uid: seen for seen in known}
    return tuple(sorted(by_uid.values()))


# --- the steps --------------------------------------------------------------------------------------------------------

Step = tuple[str, "State | str"]


def _steps(state: State, rules: Rules) -> Iterator[Step]:
    for number, request in enumerate(state.requests):
        yield from _STEPS[request.step](state, number, request, rules) if request.step in _STEPS else ()
    for number, replica in enumerate(state.replicas):
        if replica.heard < len(state.log):
            yield (
                f"replica {number} hears change {replica.heard + 1}",
                _with_replica(state, number, _hear(state, replica)),
            )
        if state.restarts:
            yield f"replica {number} dies and starts anew", _restarted(state, number)
    for uid, status in enumerate(_statuses(state.log)):
        if status == "active" and state.ends:
            yield f"u{uid} ends", _changed(state, uid, "ended")._replace(ends=state.ends - 1)
        if status == "active" and state.ends and state.deletions:
            said = f"u{uid} is deleted while it is active, and a finalizer keeps it"
            yield said, _changed(state, uid, "deleting")._replace(ends=state.ends - 1)
        if status in ("ended", "deleting") and state.deletions and _may_go(state, uid, rules):
            gone = _changed(state, uid, "gone")._replace(deletions=state.deletions - 1)
            if rules.deletions == "heard":
                gone = gone._replace(replicas=tuple(_all_heard(gone, replica) for replica in gone.replicas))
            yield f"u{uid} is gone", gone


def _may_go(state: State, uid: int, rules: Rules) -> bool:
    if rules.deletions == "young":
        return True
    if rules.deletions in ("all but the newest", "young but the newest"):
        existing = tuple(
            Seen(other, status, _version(state.log, other))
            for other, status in enumerate(_statuses(state.log))
            if status != "gone"
        )
        records = [_record(state.names[seen.uid], seen) for seen in existing]
        newest = newest_ended(records, namespace_uid="ns", fingerprint=FINGERPRINT)
        if newest is not None and newest.uid == f"u{uid}":
            return False
    if rules.deletions == "young but the newest":
        return True
    ended_at = min(
        number for number, change in enumerate(state.log, 1) if change.uid == uid and change.status != "active"
    )
    in_flight = [request for request in state.requests if request.since >= 0]
    everybody_knows = all(replica.heard >= ended_at for replica in state.replicas)
    if rules.deletions == "heard":
        return everybody_knows and not in_flight
    return everybody_knows and all(request.since >= ended_at for request in in_flight)


def _all_heard(state: State, replica: Replica) -> Replica:
    while replica.heard < len(state.log):
        replica = _hear(state, replica)
    return replica


def _restarted(state: State, number: int) -> State:
    """Let a process die: what it was waiting for is forgotten, but a create that is under way may still arrive."""
    requests = []
    for request in state.requests:
        if request.replica != number or request.step in _DONE or (request.step == "waiting" and request.since < 0):
            requests.append(request)
        elif request.step == "create":
            requests.append(request._replace(step="orphan", found=(), seen=None))
        else:
            requests.append(Request(number, "failed"))
    fresh = Replica(len(state.log))
    return _with_replica(state, number, fresh)._replace(requests=tuple(requests), restarts=state.restarts - 1)


def _waiting(state: State, number: int, request: Request, rules: Rules) -> Iterator[Step]:
    replica = state.replicas[request.replica]
    if replica.lane is not None:
        return
    since = request.since if request.since >= 0 else replica.heard
    request = request._replace(since=since, found=(), attempt=1)
    held = replica._replace(lane=number)
    duplicate_of = _verdict(state.names, _known(state.log, replica))
    if duplicate_of is not None:
        # the lane is free again as soon as the count is asked for
        counting = request._replace(step="count", seen=duplicate_of)
        yield f"signal {number} is a duplicate of u{duplicate_of.uid}", _with_request(state, number, counting)
    else:
        yield _begin_create(_with_replica(state, request.replica, held), number, request, rules)


def _begin_create(state: State, number: int, request: Request, rules: Rules) -> Step:
    if request.tries == _MAX_TRIES:
        return f"signal {number} has tried {_MAX_TRIES} names", f"signal {number} finds no name"
    known = _merged(request.found, _known(state.log, state.replicas[request.replica]))
    name = _next_name(state.names, known, rules)
    creating = request._replace(step="create", name=name, seen=None, attempt=1, tries=request.tries + 1)
    return f"signal {number} sends a create of {name[-8:]}", _with_request(state, number, creating)


def _create(state: State, number: int, request: Request, rules: Rules) -> Iterator[Step]:  # noqa: ARG001
    existing = _named(state, request.name)
    if existing is not None:
        yield (
            f"signal {number} is told 409 for {request.name[-8:]}",
            _with_request(state, number, request._replace(step="taken")),
        )
        return
    made = _made(state, number, request.name)
    uid = len(state.names)
    seen = Seen(uid, "active", len(made.log))
    yield (
        f"signal {number} creates u{uid}",
        _with_request(made, number, request._replace(step="made", seen=seen)),
    )
    if state.losses:
        lost = made._replace(losses=state.losses - 1)
        said = f"signal {number} creates u{uid}, and the answer is lost"
        if request.attempt < _MAX_ATTEMPTS:
            yield said, _with_request(lost, number, request._replace(attempt=request.attempt + 1))
        else:
            yield said, _finished(lost, number, request, "failed")


def _orphan(state: State, number: int, request: Request, rules: Rules) -> Iterator[Step]:  # noqa: ARG001
    done = Request(request.replica, "failed")
    if _named(state, request.name) is None:
        yield (
            f"the create of dead signal {number} arrives",
            _with_request(_made(state, number, request.name), number, done),
        )
    yield f"the create of dead signal {number} never arrives", _with_request(state, number, done)


def _made(state: State, number: int, name: str) -> State:
    uid = len(state.names)
    return state._replace(
        log=(*state.log, Change(uid, "active")), names=(*state.names, name), makers=(*state.makers, number)
    )


def _take_made(state: State, number: int, request: Request, rules: Rules) -> Iterator[Step]:  # noqa: ARG001
    assert request.seen is not None
    noted = _with_replica(state, request.replica, _note(state.replicas[request.replica], request.seen))
    yield f"signal {number} is answered created", _finished(noted, number, request, "created")


def _take_taken(state: State, number: int, request: Request, rules: Rules) -> Iterator[Step]:
    if rules.conflict_is_read:
        yield f"signal {number} reads {request.name[-8:]}", _with_request(state, number, request._replace(step="read"))
    else:
        yield _begin_create(state, number, request, rules)


def _read(state: State, number: int, request: Request, rules: Rules) -> Iterator[Step]:  # noqa: ARG001
    found = _named(state, request.name)
    shown = "nothing" if found is None else f"u{found.uid} {found.status}"
    yield f"signal {number} finds {shown}", _with_request(state, number, request._replace(step="was read", seen=found))


def _take_read(state: State, number: int, request: Request, rules: Rules) -> Iterator[Step]:
    found = request.seen
    if found is None:
        yield _begin_create(state, number, request, rules)
        return
    replica = _note(state.replicas[request.replica], found)
    state = _with_replica(state, request.replica, replica)
    if state.makers[found.uid] == number and rules.own_create_is_known:
        yield f"signal {number} knows its own u{found.uid}", _finished(state, number, request, "created")
        return
    request = request._replace(found=tuple(sorted({*request.found, found})))
    duplicate_of = _verdict(state.names, _merged(request.found, _known(state.log, replica)))
    if duplicate_of is not None:
        counting = request._replace(step="count", seen=duplicate_of, found=(), tries=0)
        freed = _with_replica(state, request.replica, replica._replace(lane=None))
        yield f"signal {number} is a duplicate of u{duplicate_of.uid}", _with_request(freed, number, counting)
    else:
        yield _begin_create(state, number, request, rules)


def _count(state: State, number: int, request: Request, rules: Rules) -> Iterator[Step]:
    assert request.seen is not None
    uid = request.seen.uid
    status = _statuses(state.log)[uid]
    is_current = _version(state.log, uid) == request.seen.version
    if status == "gone" or (rules.count_checks_version and not is_current):
        found = None if status == "gone" else Seen(uid, status, _version(state.log, uid))
        told = request._replace(step="not counted", seen=request.seen, found=() if found is None else (found,))
        yield f"signal {number} could not be counted on u{uid}", _with_request(state, number, told)
        return
    said = f"signal {number} is counted on u{uid}"
    if state.makers[uid] == number:
        yield said, f"signal {number} is counted on the object that it made itself"
        return
    if status != "active":
        yield said, f"a duplicate was counted on u{uid}, which is {status}"
        return
    counted = _changed(state, uid, "active")
    yield (
        said,
        _with_request(counted, number, request._replace(step="counted", seen=Seen(uid, status, len(counted.log)))),
    )


def _take_counted(state: State, number: int, request: Request, rules: Rules) -> Iterator[Step]:  # noqa: ARG001
    assert request.seen is not None
    noted = _with_replica(state, request.replica, _note(state.replicas[request.replica], request.seen))
    yield f"signal {number} is answered duplicate", _with_request(noted, number, Request(request.replica, "duplicate"))


def _take_not_counted(state: State, number: int, request: Request, rules: Rules) -> Iterator[Step]:  # noqa: ARG001
    """The object was read again after a conflict: decide anew, on it."""
    assert request.seen is not None
    replica, uid = state.replicas[request.replica], request.seen.uid
    if not request.found:
        replica = replica._replace(
            noted=tuple(seen for seen in replica.noted if seen.uid != uid),
            forgotten=tuple(sorted({*replica.forgotten, uid})),
        )
    else:
        replica = _note(replica, request.found[0])
    again = request._replace(step="waiting", seen=None, found=(), tries=0)
    yield (
        f"signal {number} is decided anew",
        _with_request(_with_replica(state, request.replica, replica), number, again),
    )


def _finished(state: State, number: int, request: Request, step: str) -> State:
    replica = state.replicas[request.replica]
    if replica.lane == number:
        state = _with_replica(state, request.replica, replica._replace(lane=None))
    return _with_request(state, number, Request(request.replica, step))


def _with_replica(state: State, number: int, replica: Replica) -> State:
    return state._replace(replicas=(*state.replicas[:number], replica, *state.replicas[number + 1 :]))


def _with_request(state: State, number: int, request: Request) -> State:
    return state._replace(requests=(*state.requests[:number], request, *state.requests[number + 1 :]))


_DONE = ("created", "duplicate", "failed")
_STEPS: dict[str, Callable[[State, int, Request, Rules], Iterator[Step]]] = {
    "waiting": _waiting,
    "create": _create,
    "orphan": _orphan,
    "made": _take_made,
    "taken": _take_taken,
    "read": _read,
    "was read": _take_read,
    "count": _count,
    "counted": _take_counted,
    "not counted": _take_not_counted,
}
