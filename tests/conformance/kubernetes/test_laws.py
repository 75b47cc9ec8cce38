"""Laws that hold whatever several clients do, and in whatever order; and where there is a real server, it agrees."""

import copy
import itertools
import json
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

CLIENTS = 3
NAMES = ("a", "b")
RUNS = itertools.count(1)

name = st.sampled_from(NAMES)
client = st.integers(0, CLIENTS - 1)
size = st.integers(0, 11)  # 0 and 11 are out of bounds
operation = st.one_of(
    st.tuples(st.just("create"), client, name, size),
    st.tuples(st.just("read"), client, name),
    st.tuples(st.just("replace"), client, name, size),  # what the client read last, fresh or stale
    st.tuples(st.just("replace status"), client, name, st.sampled_from(("Ready", "Done"))),
    st.tuples(st.just("merge"), client, name, size),
    st.tuples(st.just("merge status"), client, name, st.sampled_from(("Ready", "Done"))),
    st.tuples(st.just("compare and set"), client, name, size, size),
    st.tuples(st.just("finalizer"), client, name, st.booleans()),
    st.tuples(st.just("label"), client, name, st.sampled_from(("x", "y"))),
    st.tuples(st.just("delete"), client, name),
)
programs = st.lists(operation, min_size=1, max_size=14)


@dataclass
class World:
    """What a program's clients know, and what the laws' bookkeeper saw.

    Attributes:
        api: The server's.
        path: Of the program's objects.
        known: What each client read last of each name.
        answers: Code and object of every operation.
    """

    api: object
    path: str
    known: dict = field(default_factory=dict)
    answers: list = field(default_factory=list)

    def run(self, program):
        for verb, who, name, *arguments in program:
            response = getattr(self, verb.replace(" ", "_"))(who, name, *arguments)
            document = response.json()
            if response.status_code < 300 and document.get("kind") == "Widget":
                self.known[who, name] = document
            self.answers.append((verb, name, response.status_code, document))
        return self

    def create(self, _who, name, size):
        return self.api.post(self.api.widget(name, spec={"size": size, "color": "red"}), self.path)

    def read(self, _who, name):
        return self.api.get(f"{self.path}/{name}")

    def replace(self, who, name, size):
        body = self._last(who, name)
        body["spec"]["size"] = size
        return self.api.http.put(f"{self.path}/{name}", json=body)

    def replace_status(self, who, name, phase):
        body = self._last(who, name)
        body["status"] = {"phase": phase}
        body["spec"]["size"] = 9  # which a status write must not touch
        return self.api.http.put(f"{self.path}/{name}/status", json=body)

    def merge(self, _who, name, size):
        change = {"spec": {"size": size}, "status": {"phase": "Smuggled"}}
        return self.api.patch(name, change, path=f"{self.path}/{name}")

    def merge_status(self, _who, name, phase):
        change = {"status": {"phase": phase}, "spec": {"size": 9}}
        return self.api.patch(name, change, path=f"{self.path}/{name}/status")

    def compare_and_set(self, _who, name, before, after):
        operations = [
            {"op": "test", "path": "/spec/size", "value": before},
            {"op": "replace", "path": "/spec/size", "value": after},
        ]
        return self.api.patch(name, operations, type="json", path=f"{self.path}/{name}")

    def finalizer(self, _who, name, is_set):
        change = {"metadata": {"finalizers": ["example.com/hold"] if is_set else None}}
        return self.api.patch(name, change, path=f"{self.path}/{name}")

    def label(self, _who, name, value):
        return self.api.patch(name, {"metadata": {"labels": {"k": value}}}, path=f"{self.path}/{name}")

    def delete(self, _who, name):
        return self.api.delete("", {"propagationPolicy": "Background"}, path=f"{self.path}/{name}")

    def _last(self, who, name):
        unknown = self.api.widget(name, spec={"size": 1, "color": "red"}, metadata={"resourceVersion": "1"})
        return copy.deepcopy(self.known.get((who, name), unknown))


@pytest.fixture
def world(api):
    """Make a world of its own for each program."""

    def make():
        namespace = f"{api.namespace}-law-{next(RUNS)}"
        assert api.post({"metadata": {"name": namespace}}, api.namespaces).status_code == 201
        return World(api, api.collection.replace(api.namespace, namespace))

    return make


def watched(world, since, count):
    with world.api.watching(world.path, resourceVersion=since) as events:
        return [next(events) for _ in range(count)]


def revision_of(document):
    return int(document["metadata"]["resourceVersion"])


def without(document, *fields):
    return {key: value for key, value in document.items() if key not in fields}


def writes_of(world):
    """Return code and object of every operation that changed something, in order, with what was there before."""
    there = {}
    for verb, name, code, document in world.answers:
        if code >= 300 or verb == "read":
            continue
        before = there.get(name)
        if document["kind"] == "Status":
            there.pop(name, None)
            yield verb, before, None
        elif before is None or document["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"]:
            is_gone = "deletionTimestamp" in document["metadata"] and "finalizers" not in document["metadata"]
            there[name] = document
            if is_gone:
                there.pop(name)
            yield verb, before, None if is_gone else document


law = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@law
@given(programs)
def test_resource_versions_only_grow(world, program):
    done = world().run(program)

    revisions = [revision_of(after) for _, _, after in writes_of(done) if after is not None]
    assert revisions == sorted(set(revisions))


@law
@given(programs)
def test_status_and_spec_do_not_leak_into_each_other(world, program):
    for verb, before, after in writes_of(world().run(program)):
        if before is None or after is None or before["metadata"]["uid"] != after["metadata"]["uid"]:
            continue
        if "status" in verb:
            assert without(after, "status", "metadata") == without(before, "status", "metadata")
        else:
            assert after.get("status") == before.get("status")
        assert (after.get("status") or {}).get("phase") != "Smuggled"


@law
@given(programs)
def test_generation_moves_with_the_spec_and_with_nothing_else(world, program):
    for _, before, after in writes_of(world().run(program)):
        if before is None or after is None or before["metadata"]["uid"] != after["metadata"]["uid"]:
            continue
        is_marked = ("deletionTimestamp" in after["metadata"]) != ("deletionTimestamp" in before["metadata"])
        moved = after["metadata"]["generation"] - before["metadata"]["generation"]
        assert moved == (after["spec"] != before["spec"]) + is_marked


@law
@given(programs)
def test_update_based_on_what_has_changed_since_is_refused(world, program):
    one = world()
    current = {}
    for step in program:
        verb, who, name, *_ = step
        known = one.known.get((who, name))
        one.run([step])
        _, _, code, document = one.answers[-1]
        if verb in ("replace", "replace status") and known is not None and code < 300:
            assert current[name] == known["metadata"]["resourceVersion"]
        if code < 300 and document["kind"] == "Widget":
            current[name] = document["metadata"]["resourceVersion"]
        elif code < 300:
            current.pop(name, None)


@law
@given(programs, st.integers(0, 13))
def test_watch_from_any_version_sees_what_came_after_it_in_order(world, program, cut):
    one = world()
    since = one.api.get(one.path).json()["metadata"]["resourceVersion"]
    one.run(program)
    changes = [(verb, before, after) for verb, before, after in writes_of(one)]
    if not changes:
        return

    seen = watched(one, since, len(changes))

    types = ["DELETED" if after is None else "ADDED" if before is None else "MODIFIED" for _, before, after in changes]
    assert [event["type"] for event in seen] == types
    assert [event["object"] for event, (_, _, after) in zip(seen, changes, strict=True) if after is not None] == [
        after for _, _, after in changes if after is not None
    ]
    later = min(cut, len(seen) - 1)
    if later:
        again = watched(one, str(revision_of(seen[later - 1]["object"])), len(seen) - later)
        assert again == seen[later:]


def comparable(world):
    """Return a program's answers without what differs from server to server: names for uids, versions in order."""
    numbers, uids = {}, {}
    told = []
    for verb, name, code, document in world.answers:
        text = copy.deepcopy(document)
        metadata = text.get("metadata", {})
        for one in (metadata, text.get("details") or {}):
            if "uid" in one:
                one["uid"] = uids.setdefault(one["uid"], len(uids))
        for field_name in ("creationTimestamp", "deletionTimestamp"):
            if field_name in metadata:
                metadata[field_name] = "then"
        if "resourceVersion" in metadata:
            metadata["resourceVersion"] = numbers.setdefault(metadata["resourceVersion"], len(numbers))
        metadata.pop("namespace", None)
        metadata.pop("managedFields", None)
        metadata.pop("selfLink", None)
        if text.get("kind") == "Status":
            text = {key: text.get(key) for key in ("code", "reason", "status")}
        told.append((verb, name, code, text))
    return told


@pytest.fixture(scope="session")
def told():
    """What each program was answered by the server that came first."""
    return {}


@law
@given(programs)
def test_servers_answer_the_same_program_alike(world, told, program):
    answers = comparable(world().run(program))

    assert told.setdefault(json.dumps(program), answers) == answers
