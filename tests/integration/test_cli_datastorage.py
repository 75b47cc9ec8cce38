"""`datastorage` and `datastorage purge`, and what their tokens let the other commands do."""

import asyncio
import json
import signal
from datetime import UTC, datetime, timedelta

import pytest
from tests.support.command_line import NOBODY, URL, one_line_mistake, run, running
from tests.support.stored_events import order_event

from signal_gateway.audit import AuditStoreConfig, BufferedAuditStore, DataStorageClient
from signal_gateway.datastorage.database import backend_for
from signal_gateway.datastorage.record import microseconds, row_of

READER, WRITER, STRANGER = "r" * 32, "w" * 32, "s" * 32


@pytest.fixture
def database(tmp_path):
    return f"sqlite:///{tmp_path / 'audit.db'}"


@pytest.fixture
def store_old_events(database):
    """Store events that came in three days ago."""

    def store(*events):
        async def insert():
            backend = backend_for(database)
            await backend.open()
            await backend.insert([row_of(event, received_at=received_at) for event in events])
            await backend.close()

        received_at = microseconds(datetime.now(UTC) - timedelta(days=3))
        asyncio.run(insert())

    return store


@pytest.fixture
def token_of(tmp_path):
    """Name a file with a client's token."""

    def name(token):
        path = tmp_path / f"{token[0]}.token"
        path.write_text(f"{token}\n")
        return path

    return name


@pytest.fixture
def guarded(database, tmp_path):
    """Give the URL of a DataStorage that knows a reader's and a writer's token."""
    tokens = tmp_path / "tokens"
    tokens.write_text(f"read {READER} people\nwrite {WRITER} gateway\n")
    tokens.chmod(0o600)
    serve = ("datastorage", "--database", database, "--listen", "127.0.0.1:0", "--token-file", tokens)
    with running(*serve, until="DataStorage on") as (process, line):
        yield URL.search(line)[0]
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def leave_one_event(spool):
    """Let a store end with an event that it could not deliver."""
    config = AuditStoreConfig(spool_directory=spool, initial_backoff=0.002, max_backoff=0.01)
    store = BufferedAuditStore(DataStorageClient(NOBODY), service="shop", config=config)
    store.record(order_event())
    store.close(timeout=0)
    store.client.close()


def test_purge_deletes_what_is_over_once_and_says_how_many(database, store_old_events):
    store_old_events(*(order_event(number, retention_days=days) for number, days in enumerate([1, 2, 30, None])))

    first, second = (run("datastorage", "purge", "--database", database) for _ in range(2))

    assert (first.returncode, first.stdout, first.stderr) == (0, f"2 events purged from {database}\n", "")
    assert (second.returncode, second.stdout) == (0, f"0 events purged from {database}\n")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["datastorage"], "--database is missing"),
        (["datastorage", "--database", "{database}", "purge", "--database", "{database}"], "put it after the command"),
        (["datastorage", "purge", "--database", "{database}"], "nothing to purge"),
        (["datastorage", "--database", "{database}", "--purge-interval", "0"], "purge interval"),
        (["datastorage", "--database", "{database}", "--log-format", "xml"], "json or console"),
        (["datastorage", "--database", "{database}", "--listen", "0.0.0.0:0"], "--allow-anonymous"),
        (["datastorage", "--database", "{database}", "--token-file", "/nowhere/tokens"], "/nowhere/tokens"),
        (["datastorage", "--database", "{database}", "--token-file", "x", "--allow-anonymous"], "contradict"),
    ],
)
def test_mistake_is_one_line(database, arguments, expected):
    assert expected in one_line_mistake(run(*(argument.format(database=database) for argument in arguments)))


def test_datastorage_that_is_open_to_everybody_serves_beyond_loopback(database):
    serve = ("datastorage", "--database", database, "--listen", "0.0.0.0:0", "--allow-anonymous")

    with running(*serve, until="DataStorage on") as (process, line):
        port = line.split(",")[0].rpartition(":")[2]
        listed = run("audit", "list", "--datastorage", f"http://127.0.0.1:{port}")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0

    assert listed.returncode == 0, listed.stderr


@pytest.mark.parametrize("command", [["list"], ["show", "o-1"], ["tail"], ["export"]], ids=lambda words: words[0])
def test_refused_token_is_one_line_that_says_what_is_missing(guarded, token_of, command):
    ask = ["audit", *command, "--datastorage", guarded]

    without = one_line_mistake(run(*ask))
    assert "wants a token: give --token-file FILE, or set SIGNAL_GATEWAY_DATASTORAGE_TOKEN_FILE" in without
    assert "Authorization" not in without
    lacking = one_line_mistake(run(*ask, "--token-file", token_of(WRITER)))
    assert "lacks the scope 'read'" in lacking
    assert f"the token is that of --token-file {token_of(WRITER)}" in lacking
    by_variable = run(*ask, SIGNAL_GATEWAY_DATASTORAGE_TOKEN_FILE=str(token_of(WRITER)))
    assert "the token is that of SIGNAL_GATEWAY_DATASTORAGE_TOKEN_FILE" in one_line_mistake(by_variable)
    refusal = one_line_mistake(run(*ask, "--token-file", token_of(STRANGER)))
    assert "refuses the token: it answered 401" in refusal
    assert STRANGER not in refusal


def test_hold_needs_a_token_for_writing_and_holds_one_for_reading(guarded, token_of):
    hold = ("audit", "hold", "rr-1", "--reason", "a claim", "--allow-unknown", "--datastorage", guarded)
    holds = ("audit", "holds", "--datastorage", guarded)

    refused = one_line_mistake(run(*hold, "--token-file", token_of(READER)))
    placed = run(*hold, "--token-file", token_of(WRITER))
    unlisted = one_line_mistake(run(*holds, "--token-file", token_of(WRITER)))
    listed = run(*holds, "--token-file", token_of(READER))

    assert "lacks the scope 'write'" in refused
    assert "lacks the scope 'read'" in unlisted
    assert placed.returncode == 0, placed.stderr
    assert "a claim" in listed.stdout, listed.stderr


def test_tail_ends_when_its_token_is_taken_back(guarded, token_of, tmp_path):
    tail = ("audit", "tail", "--datastorage", guarded, "--token-file", token_of(READER), "--interval", "0.05")

    with running(*tail, until="following", stream="stderr") as (process, _):
        (tmp_path / "tokens").write_text(f"read,write {STRANGER}\n")
        output, errors = process.communicate(timeout=60)

    assert (process.returncode, output) == (2, "")
    assert "refuses the token" in errors


def test_spool_is_delivered_with_a_token_for_writing_and_read_with_one_for_reading(guarded, token_of, tmp_path):
    spool = tmp_path / "spool"
    leave_one_event(spool)
    deliver = ("audit", "spool", "deliver", spool, "--datastorage", guarded)

    assert "wants a token: give --token-file FILE" in one_line_mistake(run(*deliver))
    in_the_old_form = one_line_mistake(run("audit", "spool", spool, "--deliver", guarded))
    assert in_the_old_form.rstrip().endswith("wants a token: give --token-file FILE")
    assert "lacks the scope 'write'" in one_line_mistake(run(*deliver, "--token-file", token_of(READER)))
    delivered = run(*deliver, "--token-file", token_of(WRITER))
    listed = run("audit", "list", "--datastorage", guarded, "--token-file", token_of(READER))

    assert (delivered.returncode, delivered.stderr) == (0, "")
    assert delivered.stdout.startswith("1 event delivered, 0 rejected, 0 left")
    assert "1 of 1 events" in listed.stdout


@pytest.mark.parametrize("format", ["json", "console"])
def test_datastorage_logs_in_the_format_of_the_gateway(database, store_old_events, format):
    store_old_events(order_event(retention_days=1))
    serve = ("datastorage", "--database", database, "--listen", "127.0.0.1:0", "--purge-interval", "3600")

    with running(*serve, "--log-format", format, until="purged", stream="stderr") as (_, line):
        is_json = line.startswith("{")
        event = json.loads(line)["event"] if is_json else line

    assert is_json == (format == "json")
    assert "purged 1 events whose retention was over" in event
