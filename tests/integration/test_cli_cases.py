"""`audit cases`, as a user runs it: in a process of its own."""

import json
from contextlib import closing

import pytest
from tests.support.command_line import run
from tests.support.stored_events import store_events

from signal_gateway.audit import AuditEvent, DataStorageClient
from signal_gateway.testing import EmbeddedDataStorage


def event(case, kind, name, **members):
    return AuditEvent(
        event_type="gateway.signal.received",
        event_category="gateway",
        event_action="received",
        event_outcome=members.pop("outcome", "success"),
        correlation_id=case,
        resource_type=kind,
        resource_id=name,
        event_data={"signal_name": "HighLatency"},
        **members,
    )


@pytest.fixture(scope="module")
def url():
    with EmbeddedDataStorage() as datastorage, closing(DataStorageClient(datastorage.url)) as client:
        store_events(
            client,
            event("rr-1", "Deployment", "prod/payment-api", namespace="prod", actor_type="user", actor_id="mira"),
            event("rr-2", "Node", "worker-1"),
            event("rr-1", "Deployment", "prod/payment-api", namespace="prod", outcome="failure"),
            event("rr-3", "Deployment", "prod/\x1b[31mred", namespace="prod"),
        )
        yield datastorage.url


def test_cases_are_listed_with_workload_alert_and_outcome(url):
    listed = run("audit", "cases", "--datastorage", url).stdout.splitlines()

    heading, newest, *others, summary = listed
    assert heading.split()[:3] == ["last", "event", "(UTC)"]
    assert newest.split()[2:] == ["success", r"prod/Deployment/\x1b[31mred", "HighLatency", "1", "rr-3"]
    assert others[0].split()[2:] == ["failure", "prod/Deployment/payment-api", "HighLatency", "2", "rr-1"]
    assert others[1].split()[2:] == ["success", "Node/worker-1", "HighLatency", "1", "rr-2"]
    assert summary == "3 of 3 cases"
    assert max(map(len, listed)) <= 100


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--namespace", "prod", "--resource", "payment-api"], ["rr-1"]),
        (["--actor", "mira"], ["rr-1"]),
        (["--text", "WORKER"], ["rr-2"]),
        (["--actor-type", "user"], ["rr-1"]),
        (["--kind", "Node"], ["rr-2"]),
        (["--oldest-first"], ["rr-1", "rr-2", "rr-3"]),
        (["--oldest-first", "--limit", "2"], ["rr-1", "rr-2"]),
        (["--outcome", "failure"], ["rr-1"]),
        (["--limit", "2"], ["rr-3", "rr-1"]),
        (["--namespace", "none"], []),
    ],
)
def test_filters_of_cases(url, options, found):
    result = run("audit", "cases", "--datastorage", url, "--json", *options)

    assert [json.loads(line)["correlation_id"] for line in result.stdout.splitlines()] == found
    assert ("2 of 3 cases: --limit takes more" in result.stderr) == ("--limit" in options)
