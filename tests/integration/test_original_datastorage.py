"""A gateway against the rules of the Go original: each type of event, delivered under a name that it knows."""

import json
from datetime import timedelta

import pytest
import yaml
from tests.support.command_line import one_line_mistake, run, running, send_alert
from tests.support.original_datastorage import GATEWAY_EVENT_TYPES, OriginalDataStorage, gateway_event

from signal_gateway.audit import KUBERNAUT_EVENT_TYPES, AuditStoreConfig, BufferedAuditStore, DataStorageClient
from signal_gateway.kubernetes.resources import RemediationRequest

TARGET = {"namespace": "prod", "deployment": "api"}


@pytest.fixture
def original():
    with OriginalDataStorage() as server:
        yield server


@pytest.fixture
def open_store(original, spool):
    """Open a store for the original, which the test closes."""

    def open_store(**settings):
        client = DataStorageClient(original.url, acknowledgement="event_count", **settings)
        config = AuditStoreConfig(spool_directory=spool, initial_backoff=0.002, max_backoff=0.01)
        return BufferedAuditStore(client, service="gateway", config=config)

    return open_store


@pytest.fixture
def record_each_type(gateway_factory):
    """Let gateways record each type of event but that of a failed creation; return the number of events."""

    def record(store):
        gateway = gateway_factory(audit_store=store)
        gateway.cluster.workload("prod/Deployment/api")
        name = gateway.send_alert("HighLatency", **TARGET).json()["remediationRequestName"]
        gateway.send_alert("HighLatency", **TARGET)
        gateway.send_alert("HighLatency", status="resolved", **TARGET)
        gateway.send_alert("Gone", status="resolved", job="x")
        gateway.send_alert("NoTarget", job="x")

        first = gateway.cluster.lightkube().get(RemediationRequest, name, namespace=gateway.cluster.namespace)
        metadata = {"name": "rr-rival", "namespace": gateway.cluster.namespace}
        rival = {"apiVersion": first["apiVersion"], "kind": first["kind"], "metadata": metadata, "spec": first["spec"]}
        gateway.cluster.install(rival)
        gateway_factory(audit_store=store).send_alert("HighLatency", **TARGET)
        return 2 + 1 + 2 + 1 + 4  # the second gateway records the creation that it finds, with the same ids

    return record


def test_each_event_of_a_gateway_is_delivered_and_none_rejected(original, open_store, record_each_type):
    with open_store(event_types=KUBERNAUT_EVENT_TYPES) as store:
        count = record_each_type(store)
        result = store.flush()

    assert result.ok, result.error
    assert (store.stats.recorded, store.stats.delivered, store.stats.omitted) == (count, count, 0)
    assert store.rejected_events() == ()
    actions = [(event["event_type"], event["event_action"]) for event in original.stored]
    assert sorted(actions) == sorted(
        [
            ("gateway.signal.received", "received"),
            ("gateway.crd.created", "created"),
            ("gateway.signal.deduplicated", "deduplicated"),
            ("gateway.signal.deduplicated", "resolved"),
            ("gateway.signal.deduplicated", "resolved"),
            ("gateway.crd.failed", "rejected"),
            ("gateway.crd.failed", "conflict"),
            ("gateway.signal.received", "received"),
            ("gateway.crd.created", "created"),
            ("gateway.signal.deduplicated", "deduplicated"),
        ]
    )


def test_without_a_mapping_the_original_rejects_what_it_does_not_know(original, open_store, record_each_type):
    with open_store() as store:
        record_each_type(store)
        result = store.flush()

    assert (result.ok, store.stats.delivered, store.stats.rejected) == (False, 6, 4)
    assert {event["event_type"] for event in original.stored} < set(GATEWAY_EVENT_TYPES)


def test_omitted_types_are_counted_logged_once_and_not_recorded(original, open_store, record_each_type, caplog):
    with open_store(event_types={**KUBERNAUT_EVENT_TYPES, "gateway.signal.resolved": None}) as store:
        count = record_each_type(store)
        result = store.flush()

    stats = store.stats
    assert (result.ok, result.omitted, stats.omitted) == (True, 2, 2)
    assert stats.recorded == stats.delivered == count - 2
    assert "resolved" not in {event["event_action"] for event in original.stored}
    [line] = [record.getMessage() for record in caplog.records if "event_types leaves them out" in record.getMessage()]
    assert "gateway.signal.resolved" in line


def test_served_gateway_delivers_to_the_original_by_its_settings(original, config_file, spool, cluster, tmp_path):
    audit = {
        "datastorage_url": original.url,
        "spool_directory": str(spool),
        "implementation": "kubernaut",
        "event_types": {"gateway.signal.rejected": None},
    }
    path = config_file(audit=audit)

    cluster.workload("prod/Deployment/api")
    with running("serve", "--config", path, until="gateway on", log=tmp_path / "log") as (process, line):
        send_alert(line.split()[-1])
        process.terminate()
        assert process.wait(60) == 0

    assert sorted(event["event_type"] for event in original.stored) == [
        "gateway.crd.created",
        "gateway.signal.received",
    ]
    assert not (spool / "rejected.jsonl").exists()


@pytest.mark.parametrize(
    ("event_types", "wrong"),
    [({"gateway.signal.rejected": ""}, "''"), ({"gateway.crd.created": "gateway.signal.resolved"}, "resolved")],
)
def test_mapping_that_means_nothing_is_a_mistake_in_the_settings(config_file, datastorage, spool, event_types, wrong):
    audit = {"datastorage_url": datastorage.url, "spool_directory": str(spool), "implementation": "kubernaut"}

    result = run("config", "check", config_file(audit=audit | {"event_types": event_types}))

    assert result.returncode == 2
    assert "audit.event_types" in result.stderr
    assert wrong in result.stderr


def audit(*arguments, url):
    return run("audit", *arguments, "--datastorage", url)


def test_commands_list_show_and_export_the_original(original, tmp_path):
    stored = original.put(*(gateway_event(number, age=timedelta(seconds=1200 - number)) for number in range(1200)))
    file = tmp_path / "events.ndjson"

    exported = audit("export", "--output", file, url=original.url)
    listed = audit("list", "--limit", 1100, "--json", url=original.url)
    shown = audit("show", "rr-1", "--json", url=original.url)

    assert exported.stderr == f"1200 events in {file}\n"
    assert [json.loads(line)["event_id"] for line in file.read_text().splitlines()] == stored
    assert [json.loads(line)["event_id"] for line in listed.stdout.splitlines()] == stored[::-1][:1100]
    assert [json.loads(line)["event_id"] for line in shown.stdout.splitlines()] == stored


def test_export_by_a_detail_is_a_mistake_that_names_the_filter(original):
    original.put(gateway_event())

    result = audit("export", "--detail", "number=1", url=original.url)

    assert (result.returncode, result.stdout) != (0, "")
    assert "does not filter by detail_key, detail_value" in result.stderr


def test_tail_follows_the_original(original):
    original.put(gateway_event(correlation_id="before"))
    ask = ("audit", "tail", "--datastorage", original.url, "--interval", "0.05")
    with running(*ask, until="following", stream="stderr") as (process, _):
        original.put(gateway_event(correlation_id="fresh"))
        assert "fresh" in process.stdout.readline()
        original.put(gateway_event(correlation_id="late", age=timedelta(minutes=50)))
        assert "late" in process.stdout.readline()


@pytest.mark.parametrize("arguments", [["verify"], ["holds"], ["hold", "rr-1", "--reason", "x"]])
def test_commands_for_integrity_end_with_an_error(original, arguments):
    result = audit(*arguments, url=original.url)

    assert f"DataStorage at {original.url}" in one_line_mistake(result)


def test_event_without_the_members_of_a_request_rebuilds_none_and_is_named(original):
    [event_id] = original.put(gateway_event(event_type="gateway.crd.created"))

    line = one_line_mistake(audit("reconstruct", "rr-1", url=original.url))

    assert f"the event {event_id}: its event_data has no remediation_request, severity" in line


def test_reconstruction_from_the_original_says_what_its_event_does_not_have(original, open_store, gateway_factory):
    with open_store(event_types=KUBERNAUT_EVENT_TYPES) as store:
        gateway = gateway_factory(audit_store=store)
        name = gateway.send_alert("HighLatency", **TARGET).json()["remediationRequestName"]
        assert store.flush().ok

    result = audit("reconstruct", name, url=original.url)

    assert result.returncode == 0, result.stderr
    assert "# not restored: metadata.uid" in result.stdout
    assert yaml.safe_load(result.stdout)["spec"]["signalName"] == "HighLatency"
