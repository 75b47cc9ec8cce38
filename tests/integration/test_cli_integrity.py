"""`audit verify`, `hold`, `holds`, `release` and `reconstruct`, as a user runs them: in a process of their own."""

import json
import sqlite3
from contextlib import closing

import pytest
import yaml
from tests.support.command_line import NOBODY, one_line_mistake, run
from tests.support.stored_events import order_event, store_events

from signal_gateway.audit import DataStorageClient
from signal_gateway.datastorage import create_datastorage
from signal_gateway.kubernetes.resources import RemediationRequest
from signal_gateway.testing import LiveServer

pytestmark = pytest.mark.slow


@pytest.fixture
def file(tmp_path):
    """The file behind `url`."""
    return tmp_path / "audit.db"


@pytest.fixture
def url(file):
    with LiveServer(create_datastorage(f"sqlite:///{file}").app, name="DataStorage", lifespan="on") as server:
        yield server.url


@pytest.fixture
def stored(url):
    """The ids of three stored events."""
    client = DataStorageClient(url)
    yield store_events(client, *(order_event(number) for number in range(3)))
    client.close()


def altered(file, statement):
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(statement)
        connection.commit()


def test_verify_confirms_and_writes_a_checkpoint_that_it_finds_again(url, stored, tmp_path):
    kept = tmp_path / "checkpoint.json"

    first = run("audit", "verify", "--datastorage", url, "--write-checkpoint", kept)
    again = run("audit", "verify", "--datastorage", url, "--checkpoint", kept, "--since", "1h")

    assert (first.returncode, again.returncode) == (0, 0), (first.stderr, again.stderr)
    assert "complete and unaltered: 3 events, in 1 link up to " in first.stdout
    assert json.loads(kept.read_text())["count"] == len(stored)


def test_empty_datastorage_has_no_time_and_no_holds(url):
    verified = run("audit", "verify", "--datastorage", url)
    holds = run("audit", "holds", "--datastorage", url)

    assert (verified.returncode, holds.returncode) == (0, 0)
    assert verified.stdout.splitlines()[0] == "complete and unaltered: 0 events, in 0 links"
    assert (holds.stdout, holds.stderr) == ("", "no case is on hold\n")


def test_release_without_a_hold_says_so_and_names_no_query(url):
    result = run("audit", "release", "rr-1", "--reason", "settled", "--datastorage", url)

    assert result.returncode == 2
    assert "has no hold: 'rr-1'" in result.stderr
    assert "query" not in result.stderr


def test_verify_names_the_last_row_when_it_was_deleted(url, stored, file):
    altered(file, "DELETE FROM audit_events WHERE sequence = 3")

    result = run("audit", "verify", "--datastorage", url)

    assert result.returncode == 1
    assert f"ALTERED: event {stored[2]} (sequence 3, link 1): it was deleted" in result.stdout


def test_verify_of_a_rewritten_chain_fails_against_the_checkpoint(url, stored, tmp_path):
    kept = tmp_path / "checkpoint.json"
    run("audit", "verify", "--datastorage", url, "--write-checkpoint", kept)
    document = json.loads(kept.read_text())
    kept.write_text(json.dumps(document | {"hash": "00" * 32}))

    result = run("audit", "verify", "--datastorage", url, "--checkpoint", kept)

    assert result.returncode == 1
    assert "not the one of the checkpoint" in result.stdout
    assert stored


def test_verify_of_a_window_says_how_many_events_it_compared(url, stored):
    run("audit", "hold", "order-1", "--datastorage", url, "--reason", "a claim")
    placed_at = run("audit", "holds", "--datastorage", url).stdout.split()[0]

    text = run("audit", "verify", "--datastorage", url, "--since", placed_at)
    whole = json.loads(run("audit", "verify", "--datastorage", url, "--json").stdout)
    window = json.loads(run("audit", "verify", "--datastorage", url, "--since", placed_at, "--json").stdout)

    assert text.returncode == 0, text.stderr
    first = text.stdout.splitlines()[0]
    assert first.startswith(f"in the window since {placed_at}: 1 of {len(stored) + 1} events compared, all links")
    assert "complete" not in first
    assert (whole["events"], whole["all_events"]) == (4, 4)
    assert (window["events"], window["all_events"]) == (1, 4)


@pytest.mark.usefixtures("stored")
def test_verify_of_a_window_without_events_exits_with_2_and_writes_no_checkpoint(url, tmp_path):
    kept = tmp_path / "checkpoint.json"
    window = ("audit", "verify", "--datastorage", url, "--until", "1h")

    text = run(*window, "--write-checkpoint", kept)
    as_json = run(*window, "--json")

    assert (text.returncode, as_json.returncode) == (2, 2)
    assert text.stdout.splitlines()[0].startswith("in the window until 1h: 0 of 3 events compared, all links verified")
    for result in (text, as_json):
        assert "no event arrived in the window until 1h: nothing was compared" in result.stderr.splitlines()[-1]
    assert json.loads(as_json.stdout)["all_events"] == 3
    assert not kept.exists()


@pytest.mark.usefixtures("stored")
def test_verify_of_a_window_still_finds_an_alteration_outside_of_it(url, file):
    altered(file, "DELETE FROM audit_events WHERE sequence = 3")

    result = run("audit", "verify", "--datastorage", url, "--until", "1h")

    assert result.returncode == 1
    assert "ALTERED: 1 event outside of the window was deleted" in result.stdout


def test_verify_that_cannot_be_done_exits_with_2(url, tmp_path):
    bad = tmp_path / "bad.json"
    bad.write_text("{}")

    assert "no DataStorage" in one_line_mistake(run("audit", "verify", "--datastorage", NOBODY))
    assert "is no checkpoint" in one_line_mistake(run("audit", "verify", "--datastorage", url, "--checkpoint", bad))
    assert "since" in one_line_mistake(run("audit", "verify", "--datastorage", url, "--since", "noon"))


def test_hold_and_its_release_are_events_of_the_case(url, stored):
    placed = run("audit", "hold", "order-1", "--datastorage", url, "--reason", "a claim", "--by", "ada")
    listed = run("audit", "holds", "--datastorage", url)
    released = run("audit", "release", "order-1", "--datastorage", url, "--reason", "settled", "--by", "ada")
    again = run("audit", "release", "order-1", "--datastorage", url, "--reason", "settled", "--by", "ada")
    events = run("audit", "show", "order-1", "--datastorage", url, "--json").stdout.splitlines()

    assert [result.returncode for result in (placed, listed, released)] == [0, 0, 0]
    assert "order-1  ada  a claim" in listed.stdout
    assert "has no hold" in one_line_mistake(again)
    holds = [event for event in map(json.loads, events) if event["event_category"] == "datastorage"]
    assert [(event["event_action"], event["actor_id"], event["event_data"]["reason"]) for event in holds] == [
        ("placed", "ada", "a claim"),
        ("released", "ada", "settled"),
    ]
    assert len(events) == len(stored) + 2


@pytest.mark.usefixtures("stored")
def test_hold_says_what_it_keeps_and_refuses_an_id_without_events(url):
    place = ("--datastorage", url, "--reason", "a claim", "--by", "ada")

    known = run("audit", "hold", "order-1", *place)
    unknown = one_line_mistake(run("audit", "hold", "order-2", *place))
    allowed = run("audit", "hold", "order-2", *place, "--allow-unknown")

    assert known.stdout == "order-1 is on hold: 4 events, with that of the hold\n"
    assert "'order-2'" in unknown
    assert "--allow-unknown" in unknown
    assert allowed.stdout == "order-2 is on hold: 1 event, with that of the hold\n"


def test_hold_names_the_workload_of_the_case(gateway, gateway_datastorage):
    gateway.cluster.workload("prod/Deployment/payment-api")
    name = gateway.send_alert("HighLatency", namespace="prod", deployment="payment-api").json()[
        "remediationRequestName"
    ]
    gateway.audit_trail.one("gateway.crd.created", correlation_id=name)

    placed = run("audit", "hold", name, "--reason", "a claim", "--datastorage", gateway_datastorage.url)

    assert " events of prod/Deployment/payment-api, with that of the hold" in placed.stdout, placed.stderr


@pytest.mark.usefixtures("stored")
def test_second_hold_of_a_case_is_refused_and_names_the_first(url):
    place = ("audit", "hold", "order-1", "--datastorage", url, "--by", "ada")
    run(*place, "--reason", "a claim")

    again = run(*place, "--reason", "a claim")
    other = one_line_mistake(run(*place, "--reason", "an appeal"))

    assert again.returncode == 0, again.stderr
    assert "'order-1' is on hold already" in other
    assert "by 'ada'" in other
    assert "'a claim'" in other
    assert "Release that hold first" in other
    assert "no DataStorage" not in other


@pytest.mark.parametrize("labels", [{"namespace": "prod", "deployment": "payment-api"}, {"node": "node-1"}])
def test_reconstructed_request_is_the_one_that_the_gateway_created(gateway, gateway_datastorage, labels):
    gateway.cluster.workload("prod/Deployment/payment-api")
    gateway.cluster.workload("Node/node-1")
    name = gateway.send_alert("HighLatency", **labels).json()["remediationRequestName"]
    gateway.audit_trail.one("gateway.crd.created", correlation_id=name)
    created = gateway.cluster.lightkube().get(RemediationRequest, name, namespace=gateway.cluster.namespace)

    result = run("audit", "reconstruct", name, "--datastorage", gateway_datastorage.url)

    assert result.returncode == 0, result.stderr
    restored = yaml.safe_load(result.stdout)
    assert restored["spec"] == created["spec"]
    for member in ("name", "namespace", "uid", "labels", "annotations"):
        assert restored["metadata"][member] == created["metadata"][member]
    assert [line for line in result.stdout.splitlines() if line.startswith("#")] == [
        "# not restored: status: it belongs to the controller"
    ]


def test_reconstruction_without_an_event_says_so(url):
    assert "no gateway.crd.created event" in one_line_mistake(run("audit", "reconstruct", "x", "--datastorage", url))


@pytest.mark.usefixtures("stored")
def test_url_of_the_environment_and_times_as_people_write_them_are_taken(url):
    correlation_id = "order-1"
    place = {"SIGNAL_GATEWAY_DATASTORAGE": url}

    verified = run("audit", "verify", "--since", "yesterday 22:00", "--until", "0s", "--utc", **place)
    held = run("audit", "hold", correlation_id, "--reason", "an inquiry", **place)
    holds = run("audit", "holds", **place)
    released = run("audit", "release", correlation_id, "--reason", "the inquiry is over", **place)

    assert [one.returncode for one in (verified, held, holds, released)] == [0, 0, 0, 0], verified.stderr
    assert "an inquiry" in holds.stdout


@pytest.mark.parametrize(
    "command",
    [["verify"], ["hold", "o", "--reason", "r"], ["holds"], ["release", "o", "--reason", "r"], ["reconstruct", "o"]],
    ids=lambda words: words[0],
)
def test_missing_url_is_one_line_that_names_option_and_variable(command):
    line = one_line_mistake(run("audit", *command, SIGNAL_GATEWAY_DATASTORAGE=""))

    assert "--datastorage URL, or set SIGNAL_GATEWAY_DATASTORAGE" in line


def test_time_of_another_form_is_one_line_that_lists_the_forms(url):
    assert "--since 'last week' is not valid: use a time such as" in one_line_mistake(
        run("audit", "verify", "--datastorage", url, "--since", "last week")
    )
