"""What `audit spool` says and does, as a user runs it: in a process of its own."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from tests.support.command_line import NOBODY, one_line_mistake, run

from signal_gateway.audit import AuditEvent, AuditStoreConfig, AuditTrail, BufferedAuditStore, DataStorageClient
from signal_gateway.audit.wal.inspect import inspect_spool
from signal_gateway.audit.wal.rejected import FileRejections, RejectedEvent
from signal_gateway.testing import EmbeddedDataStorage

RECORD_AND_DIE = """
import os, signal, sys
from signal_gateway.audit import AuditEvent, AuditStoreConfig, BufferedAuditStore, DataStorageClient

directory, url, *correlation_ids = sys.argv[1:]
store = BufferedAuditStore(DataStorageClient(url), service="shop", config=AuditStoreConfig(spool_directory=directory))
for correlation_id in correlation_ids:
    store.record(
        AuditEvent(
            event_type="order.placed",
            event_category="order",
            event_action="placed",
            event_outcome="success",
            correlation_id=correlation_id,
            event_timestamp="2025-01-31T12:00:00Z",
            event_data={"event_type": "order.placed"},
        )
    )
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def spool(tmp_path):
    directory = tmp_path / "spool"
    directory.mkdir()
    return directory


@pytest.fixture
def datastorage():
    with EmbeddedDataStorage() as datastorage:
        yield datastorage


def audit(*arguments):
    return run("audit", *arguments)


def record_and_die(spool, *correlation_ids):
    command = [sys.executable, "-c", RECORD_AND_DIE, str(spool), NOBODY, *correlation_ids]
    assert subprocess.run(command, timeout=60, stderr=subprocess.DEVNULL).returncode < 0


def order(correlation_id):
    return AuditEvent(
        event_type="order.placed",
        event_category="order",
        event_action="placed",
        event_outcome="success",
        correlation_id=correlation_id,
        event_timestamp=datetime.now(UTC) - timedelta(hours=3),
        event_data={"event_type": "order.placed"},
    )


def reject(spool, event, reason):
    FileRejections(spool, "a-store").keep([RejectedEvent(event.event_id, event.to_wire(), reason)])


def stored(datastorage):
    client = DataStorageClient(datastorage.url)
    found = [event.correlation_id for event in AuditTrail(client, barrier=None).events()]
    client.close()
    return sorted(found)


def test_what_a_killed_process_left_is_shown_with_the_next_command(spool):
    record_and_die(spool, "o-1", "o-2")

    shown = audit("spool", "list", spool)

    assert (shown.returncode, shown.stderr) == (0, "")
    (row,) = [line for line in shown.stdout.splitlines() if " shop " in line]
    store_id = next(spool.glob("*.lock")).stem
    assert row.split()[:3] == [store_id, "shop", "dead"]
    assert row.split()[-6:-2] == ["1", "2", "1.0", "MiB"]
    assert row.endswith(" d")
    assert "2 events pending, 1.0 MiB; 0 rejected, 0 damaged files" in shown.stdout
    assert f"  signal-gateway audit spool deliver {spool} --datastorage URL\n" in shown.stdout
    assert "audit spool retry" not in shown.stdout


def test_everything_that_a_killed_process_left_is_delivered(spool, datastorage):
    record_and_die(spool, "o-1", "o-2")
    record_and_die(spool, "o-3")

    delivered = audit("spool", "deliver", spool, "--datastorage", datastorage.url)

    assert (delivered.returncode, delivered.stderr) == (0, "")
    assert delivered.stdout == "3 events delivered, 0 rejected, 0 left\n"
    assert stored(datastorage) == ["o-1", "o-2", "o-3"]
    assert audit("spool", "list", spool).stdout == f"{spool} has no audit events, and nobody uses it\n"


def test_live_store_is_shown_and_left_alone(spool, datastorage):
    client = DataStorageClient(NOBODY)
    store = BufferedAuditStore(client, service="shop", config=AuditStoreConfig(spool_directory=spool))
    store.record(order("o-live"))
    record_and_die(spool, "o-dead")

    shown = audit("spool", "list", spool)
    delivered = audit("spool", "deliver", spool, "--datastorage", datastorage.url)
    store.close(timeout=0)

    assert " alive " in shown.stdout
    assert " 3 h\n" in shown.stdout
    assert "1 event of live stores: those deliver them" in shown.stdout
    assert delivered.returncode == 0
    assert delivered.stdout == ("1 event delivered, 0 rejected, 0 left\n1 event of live stores: those deliver them\n")
    assert stored(datastorage) == ["o-dead"]


def test_damaged_segment_is_told_and_is_exit_status_1(spool, datastorage):
    record_and_die(spool, "o-1")
    (segment,) = spool.glob("*.segment")
    segment.write_bytes(b"garbage!" * 1000)

    shown = audit("spool", "list", spool)
    delivered = audit("spool", "deliver", spool, "--datastorage", datastorage.url)

    assert f"can't be read: {segment.name}: it is no spool segment" in shown.stdout
    assert delivered.returncode == 1
    assert f"1 damaged file set aside in {spool / 'corrupt'}\n" in delivered.stdout
    assert f"set aside as damaged: {spool / 'corrupt' / segment.name}" in audit("spool", "list", spool).stdout


def test_rejected_events_are_listed_and_sent_again(spool, datastorage):
    reject(spool, order("[/o-1]"), "severity: must be [one] of these")
    reject(spool, order("o-2"), "no room")

    shown = audit("spool", "list", spool)
    listed = audit("spool", "list", spool, "--rejected")
    retried = audit("spool", "retry", spool, "--datastorage", datastorage.url)

    assert "2 rejected" in shown.stdout
    assert f"  signal-gateway audit spool retry {spool} --datastorage URL\n" in shown.stdout
    assert (listed.returncode, listed.stderr) == (0, "")
    rows = listed.stdout.splitlines()
    assert "order.placed  [/o-1]" in rows[1]
    assert "severity: must be [one] of these" in rows[1]
    assert rows[-1] == "2 rejected events"
    assert (retried.returncode, retried.stdout) == (0, "2 events delivered, 0 rejected, 0 left\n")
    assert stored(datastorage) == ["[/o-1]", "o-2"]
    assert audit("list", "--datastorage", datastorage.url).stdout.count("[/o-1]") == 1


def test_rejected_event_that_can_not_be_sent_again_is_exit_status_1(spool, datastorage):
    event = order("o-1")
    payload = event.to_wire().replace(b'"version":"1.0"', b'"version":""')
    FileRejections(spool, "a-store").keep([RejectedEvent(event.event_id, payload, "bad version")])

    retried = audit("spool", "retry", spool, "--datastorage", datastorage.url)

    assert (retried.returncode, retried.stdout) == (1, "0 events delivered, 1 rejected, 0 left\n")
    assert "not sent again: version: " in audit("spool", "list", spool, "--rejected").stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["deliver", "DIR", "--datastorage", NOBODY], NOBODY),
        (["deliver", "DIR", "--datastorage", "127.0.0.1:8080"], "--datastorage"),
        (["deliver", "DIR"], "--datastorage URL, or set SIGNAL_GATEWAY_DATASTORAGE"),
        (["retry", "DIR"], "--datastorage URL, or set SIGNAL_GATEWAY_DATASTORAGE"),
        (["DIR", "--deliver", NOBODY], NOBODY),
        (["DIR", "--deliver", "127.0.0.1:8080"], "--deliver"),
        (["DIR", "--retry-rejected"], "--retry-rejected needs --deliver URL"),
        (["DIR", "--rejected", "--deliver", NOBODY], "--rejected only lists"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistake_is_one_line_and_touches_nothing(spool, arguments, expected):
    reject(spool, order("o-1"), "bad")
    before = {path: path.read_bytes() for path in spool.iterdir()}

    result = run("audit", "spool", *(spool if word == "DIR" else word for word in arguments))

    assert expected in one_line_mistake(result)
    assert {path: path.read_bytes() for path in spool.iterdir()} == before


def test_directory_that_is_not_there_is_a_mistake_and_is_not_made(tmp_path, datastorage):
    missing = tmp_path / "nowhere"
    to_datastorage = ["--datastorage", datastorage.url]

    for arguments in (
        ["list", missing],
        ["list", missing, "--rejected"],
        ["deliver", missing, *to_datastorage],
        ["retry", missing, *to_datastorage],
        ["repair", missing],
        [missing],
        ["--deliver", datastorage.url, missing],
    ):
        assert f"there is no spool directory '{missing}'" in one_line_mistake(audit("spool", *arguments))
    assert not missing.exists()


def test_url_of_the_environment_is_delivered_to(spool, datastorage):
    record_and_die(spool, "o-1")

    delivered = run("audit", "spool", "deliver", spool, SIGNAL_GATEWAY_DATASTORAGE=datastorage.url)

    assert (delivered.returncode, delivered.stdout) == (0, "1 event delivered, 0 rejected, 0 left\n")


def test_each_old_form_has_its_result_and_names_the_new_one(spool, datastorage):
    record_and_die(spool, "o-1")
    reject(spool, order("o-2"), "no room")
    url, command = datastorage.url, "signal-gateway audit spool"
    forms = {
        (spool,): f"{command} list {spool}",
        (spool, "--rejected"): f"{command} list {spool} --rejected",
        (spool, "--repair"): f"{command} repair {spool}",
        ("--deliver", url, spool): f"{command} deliver {spool} --datastorage {url}",
        (spool, "--repair", "--deliver", url, "--retry-rejected", "--timeout", 30): (
            f"{command} repair {spool} && {command} retry {spool} --datastorage {url} --timeout 30"
        ),
    }

    results = [audit("spool", *form) for form in forms]

    assert [result.returncode for result in results] == [0] * 5
    assert [result.stderr for result in results] == [
        f"deprecated: audit spool DIR with options; use {new}\n" for new in forms.values()
    ]
    assert "1 event pending, 1.0 MiB; 1 rejected" in results[0].stdout
    assert "1 rejected event" in results[1].stdout
    assert "1 event delivered" in results[3].stdout
    assert "1 event delivered, 0 rejected, 0 left" in results[4].stdout
    assert stored(datastorage) == ["o-1", "o-2"]


def test_variables_of_queries_do_not_change_the_old_form(spool, datastorage):
    record_and_die(spool, "o-1")

    shown = run("audit", "spool", spool, SIGNAL_GATEWAY_DATASTORAGE=datastorage.url)

    assert "1 event pending" in shown.stdout
    assert stored(datastorage) == []


def test_help_has_the_commands_and_not_the_old_form():
    shown = run("audit", "spool", "--help").stdout

    assert all(command in shown for command in ("list", "deliver", "retry", "repair"))
    assert "directory)" not in shown


def test_stranger_at_the_url_touches_nothing(spool, datastorage):
    record_and_die(spool, "o-1")

    result = audit("spool", "deliver", spool, "--datastorage", f"{datastorage.url}/nothing/here")

    assert "--datastorage" in one_line_mistake(result)
    assert inspect_spool(spool).pending(alive=False) == 1
