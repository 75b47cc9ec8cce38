"""`audit list`, `show`, `tail` and `export`, as a user runs them: in a process of their own."""

import contextlib
import csv
import inspect
import io
import json
import signal
import subprocess
from datetime import timedelta

import httpx
import pytest
from starlette.responses import PlainTextResponse
from tests.support.command_line import COMMAND, NOBODY, one_line_mistake, run, running
from tests.support.original_datastorage import OriginalDataStorage, gateway_event
from tests.support.stored_events import order_event, store_events

from signal_gateway.audit import DataStorageClient
from signal_gateway.commands.audit import export_events, list_events, show_case
from signal_gateway.commands.cases import list_cases
from signal_gateway.commands.tail import tail_events
from signal_gateway.datastorage import create_datastorage
from signal_gateway.testing import EmbeddedDataStorage
from signal_gateway.testing.runtime.server import LiveServer


@pytest.fixture
def datastorage():
    with EmbeddedDataStorage() as datastorage:
        yield datastorage


@pytest.fixture
def client(datastorage):
    client = DataStorageClient(datastorage.url)
    yield client
    client.close()


@pytest.fixture
def audit(datastorage):
    def ask(*arguments, url=datastorage.url):
        return run("audit", *arguments, "--datastorage", url)

    return ask


@contextlib.contextmanager
def tailing(url, *arguments):
    """Run `audit tail` until Ctrl-C; give the process when it follows."""
    ask = ("audit", "tail", "--datastorage", url, "--interval", "0.05", *arguments)
    with running(*ask, until=f"following {url}", stream="stderr") as (process, _):
        yield process


def ids(ndjson):
    return [json.loads(line)["event_id"] for line in ndjson.splitlines()]


def test_list_goes_beyond_a_page_and_says_how_many_there_are(audit, client):
    stored = store_events(client, *(order_event(number, age=timedelta(seconds=-number)) for number in range(2300)))

    some = audit("list", "--limit", 2200, "--json")
    table = audit("list")
    everything = audit("list", "--limit", 9999, "--json")

    assert ids(some.stdout) == stored[:99:-1]
    assert some.stderr == "2200 of 2300 events: --limit takes more\n"
    assert "50 of 2300 events" in table.stdout
    assert table.stdout.count("order.placed") == 50
    assert ids(everything.stdout) == stored[::-1]
    assert everything.stderr == ""


def test_list_oldest_first_begins_with_the_oldest_of_all(audit, client):
    stored = store_events(client, *(order_event(number, age=timedelta(seconds=60 - number)) for number in range(3)))

    some = audit("list", "--oldest-first", "--limit", 2, "--json")

    assert ids(some.stdout) == stored[:2]
    assert some.stderr == "2 of 3 events: --limit takes more\n"


def test_list_oldest_first_of_a_datastorage_without_order_is_a_mistake():
    with OriginalDataStorage() as original:
        original.put(*(gateway_event(number, age=timedelta(seconds=60 - number)) for number in range(3)))
        some = run("audit", "list", "--datastorage", original.url, "--oldest-first", "--limit", 2)

    assert "--oldest-first" in one_line_mistake(some)


def test_show_takes_the_filters_of_the_other_commands(audit, client):
    workload = {"resource_type": "Deployment", "resource_id": "prod/payment-api", "namespace": "prod"}
    wanted = order_event(1, actor_type="user", actor_id="mira", **workload)
    stored = store_events(client, order_event(0), wanted)

    assert ids(audit("show", "order-1", "--json", "--actor-type", "user").stdout) == stored[1:]
    assert ids(audit("show", "order-1", "--json", "--text", "Payment", "--kind", "Deployment").stdout) == stored[1:]


def test_every_command_that_reads_events_has_the_same_filters():
    own = {"query", "correlation_id", "limit", "as_json", "oldest_first", "output", "form", "interval", "sensitive"}
    commands = (list_events, show_case, export_events, tail_events, list_cases)

    filters = [inspect.signature(command).parameters.keys() - own for command in commands]

    assert all(others == filters[0] for others in filters)
    assert {"resource", "kind", "namespace", "actor", "actor_type", "text"} <= filters[0]


def test_list_fits_100_columns_and_cuts_no_id(audit, client):
    correlation_id = "o" * 255
    (event_id,) = store_events(client, order_event(event_type="t" * 100, correlation_id=correlation_id))

    lines = audit("list").stdout.splitlines()

    assert max(map(len, lines)) <= 100
    joined = "".join(line.strip() for line in lines)
    assert "t" * 100 in joined
    assert correlation_id in joined
    assert event_id in joined


def test_list_and_show_name_the_workload_the_actor_and_the_error(audit, client):
    store_events(
        client,
        order_event(
            resource_type="Deployment",
            resource_id="payments/payment-api",
            namespace="payments",
            actor_type="user",
            actor_id="alice",
            event_outcome="failure",
            duration_ms=12,
            error_code="several_active",
            error_message="rr-1 handles the problem, and so does rr-2",
        ),
    )

    listed = audit("list").stdout.splitlines()
    shown = audit("show", "order-1").stdout

    assert max(map(len, listed)) <= 100
    assert any("payments/Deployment/payment-api" in line for line in listed)
    for fact in (
        "user alice",
        "Deployment payments/payment-api",
        "12 ms",
        "several_active",
        "rr-1 handles the problem",
    ):
        assert fact in shown


@pytest.mark.parametrize(
    ("arguments", "numbers"),
    [
        (["--correlation-id", "o-2"], [2]),
        (["--event-type", "order.shipped"], [1]),
        (["--type", "order.shipped"], [1]),
        (["--category", "billing"], [3]),
        (["--outcome", "failure"], [4]),
        (["--severity", "critical"], [5]),
        (["--since", "90m"], [0, 1, 2, 3, 4, 5, 7]),
        (["--until", "2026-01-01"], [6]),
        (["--detail", "shop=s-1", "--since", "1h"], [1, 3, 5, 7]),
        (["--detail", "number=7"], [7]),
        (["--resource", "payment-api"], [7]),
        (["--kind", "Deployment"], [7]),
        (["--namespace", "prod"], [7]),
        (["--actor", "mira"], [7]),
        (["--actor-type", "user"], [7]),
        (["--text", "PAYMENT"], [7]),
    ],
)
def test_filters_are_the_same_for_list_and_export(audit, client, arguments, numbers):
    changes = [
        {},
        {"event_type": "order.shipped"},
        {"correlation_id": "o-2"},
        {"event_category": "billing"},
        {"event_outcome": "failure"},
        {"severity": "critical"},
        {"event_timestamp": "2025-12-31T00:00:00Z"},
        {"resource_type": "Deployment", "resource_id": "prod/payment-api", "namespace": "prod"}
        | {"actor_type": "user", "actor_id": "mira"},
    ]
    stored = store_events(
        client,
        *(order_event(number, age=timedelta(seconds=60 - number), **more) for number, more in enumerate(changes)),
    )

    listed, exported = audit("list", "--json", *arguments), audit("export", *arguments)

    assert ids(exported.stdout) == [stored[number] for number in numbers]
    assert ids(listed.stdout) == [stored[number] for number in reversed(numbers)]


@pytest.mark.parametrize(
    ("arguments", "numbers"),
    [
        (["--since", "2026-11-27 20:00"], [2, 3]),
        (["--since", "2026-11-27 20:00", "--utc"], [3]),
        (["--since", "2026-11-27T20:00:00Z"], [3]),
        (["--until", "2026-11-27 20:00"], [0, 1]),
        (["--until", "2026-11-27 20:00", "--utc"], [0, 1, 2]),
        (["--since", "2026-11-27", "--until", "2026-11-27 20:30"], [1, 2]),
    ],
)
def test_time_without_a_zone_is_in_the_zone_of_the_machine(datastorage, client, arguments, numbers):
    times = ("2026-11-26T22:59:59Z", "2026-11-26T23:00:00Z", "2026-11-27T19:00:00.5Z", "2026-11-27T20:00:00.5Z")
    stored = store_events(client, *(order_event(event_timestamp=time) for time in times))
    query = ("--datastorage", datastorage.url, *arguments)

    exported = run("audit", "export", *query, TZ="Europe/Berlin")
    listed = run("audit", "list", "--json", *query, TZ="Europe/Berlin")

    assert ids(exported.stdout) == [stored[number] for number in numbers], exported.stderr
    assert ids(listed.stdout) == [stored[number] for number in reversed(numbers)]


def test_show_withholds_the_payload_of_a_sensitive_event_unless_it_is_requested(audit, client):
    store_events(client, order_event(41, is_sensitive=True), order_event(42))

    shown = audit("show", "order-1").stdout
    requested = audit("show", "order-1", "--sensitive").stdout
    as_json = audit("show", "order-1", "--json").stdout

    assert "; --sensitive shows it" in shown
    assert [('"number": 41' in text, '"number": 42' in text) for text in (shown, requested)] == [
        (False, True),
        (True, True),
    ]
    assert [json.loads(line)["event_data"]["number"] for line in as_json.splitlines()] == [41, 42]


def test_show_goes_beyond_a_page_and_shows_payloads(audit, client):
    stored = store_events(client, *(order_event(number, age=timedelta(seconds=-number)) for number in range(1203)))
    store_events(client, order_event(correlation_id="other"))

    shown = audit("show", "order-1")
    as_json = audit("show", "order-1", "--json")

    assert shown.stdout.count("order.placed  success\n") == 1203
    assert '"number": 1202' in shown.stdout
    assert ids(as_json.stdout) == stored


def test_control_characters_of_an_event_do_not_reach_the_terminal(audit, client):
    store_events(client, order_event(correlation_id="\x1b[31m-red\x9b", event_type="order.\x1b]0;pwned\x07"))

    for result in (audit("list"), audit("show", "\x1b[31m-red\x9b")):
        assert result.returncode == 0, result.stderr
        assert "\\x1b" in result.stdout
        assert not {"\x1b", "\x9b", "\x07"} & set(result.stdout)


def test_export_writes_a_file_that_appears_when_it_is_complete(audit, client, tmp_path):
    stored = store_events(client, *(order_event(number, age=timedelta(seconds=-number)) for number in range(1100)))
    output = tmp_path / "events.ndjson"
    output.write_text("old")

    result = audit("export", "--output", output)

    assert (result.returncode, result.stdout) == (0, "")
    assert result.stderr == f"1100 events in {output}\n"
    assert ids(output.read_text()) == stored
    assert list(tmp_path.iterdir()) == [output]


@pytest.mark.parametrize("has_export", [True, False], ids=["one answer", "page after page"])
def test_export_is_the_same_from_a_datastorage_that_has_none(tmp_path, has_export):
    asked = []
    app = create_datastorage(f"sqlite:///{tmp_path / 'audit.db'}").app

    async def count(scope, receive, send):
        if scope["type"] == "http" and scope["method"] == "GET":
            asked.append(scope["path"].rpartition("/")[2])
            if asked[-1] == "export" and not has_export:
                return await PlainTextResponse("not found", status_code=404)(scope, receive, send)
        return await app(scope, receive, send)

    with LiveServer(count, name="DataStorage", lifespan="on") as server:
        client = DataStorageClient(server.url)
        stored = store_events(client, *(order_event(n, age=timedelta(seconds=-n)) for n in range(2100)))
        client.close()

        result = run("audit", "export", "--correlation-id", "order-1", "--datastorage", server.url)

    assert (result.returncode, result.stderr) == (0, "")
    assert ids(result.stdout) == stored
    assert asked == (["export"] if has_export else ["export", "events", "events", "events"])


def test_export_as_csv_has_a_row_per_event_that_no_spreadsheet_runs(audit, client, tmp_path):
    formula = "=HYPERLINK(1);\n+cmd"
    events = [order_event(number, age=timedelta(seconds=-number)) for number in range(3)]
    stored = store_events(client, *events, order_event(correlation_id=formula, age=timedelta(seconds=-4)))
    output = tmp_path / "events.csv"

    printed = audit("export", "--format", "csv")
    written = audit("export", "--format", "csv", "--output", output)

    assert (printed.returncode, printed.stderr) == (0, "")
    rows = list(csv.DictReader(io.StringIO(printed.stdout, newline=""), strict=True))
    assert [row["event_id"] for row in rows] == stored
    assert json.loads(rows[2]["event_data"])["number"] == 2
    assert rows[3]["correlation_id"] == "'=HYPERLINK(1);\n'+cmd"
    assert written.stderr == f"4 events in {output}\n"
    with output.open(newline="", encoding="utf-8") as file:
        assert list(csv.DictReader(file, strict=True)) == rows


def test_csv_of_no_event_has_the_columns(audit):
    assert audit("export", "--format", "csv").stdout.startswith("event_timestamp,event_type,")


def test_another_format_is_a_mistake_that_names_the_formats(audit):
    assert "--format xml is not valid: choose ndjson or csv" in one_line_mistake(audit("export", "--format", "xml"))


def test_export_that_fails_leaves_the_old_file_and_no_other(audit, tmp_path):
    output = tmp_path / "events.ndjson"
    output.write_text("old")

    one_line_mistake(audit("export", "--output", output, url=NOBODY))

    assert output.read_text() == "old"
    assert list(tmp_path.iterdir()) == [output]


@pytest.mark.parametrize("form", ["ndjson", "csv"])
def test_export_that_is_cut_short_is_an_error_and_no_file(tmp_path, form):
    line = b'{"event_id": "1"}\n'

    async def cut(scope, _receive, send):
        assert scope["type"] == "http"
        headers = [(b"content-type", b"application/x-ndjson"), (b"content-length", b"1000")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": line, "more_body": True})
        raise ConnectionAbortedError

    with LiveServer(cut, name="DataStorage", lifespan="off") as server:
        query = ("audit", "export", "--format", form, "--datastorage", server.url)
        written = run(*query, "--output", tmp_path / "events")
        printed = run(*query)

    assert "ended early, after 1 events" in one_line_mistake(written)
    assert list(tmp_path.iterdir()) == []
    assert printed.returncode == 2
    assert "ended early, after 1 events" in printed.stderr


def test_export_has_the_bytes_of_datastorage(audit, client, datastorage):
    store_events(client, *(order_event(number) for number in range(3)))

    exported = audit("export")

    assert exported.stdout == httpx.get(f"{datastorage.url}/api/v1/audit/export", trust_env=False).text


def test_export_to_a_directory_that_is_not_there_is_a_mistake(audit, tmp_path):
    output = tmp_path / "nowhere" / "events.ndjson"

    assert f"cannot write --output {output}: No such file" in one_line_mistake(audit("export", "--output", output))


@pytest.mark.parametrize("command", [["list"], ["show", "o-1"], ["tail"], ["export"]], ids=lambda words: words[0])
def test_mistakes_are_one_line_and_exit_status_2(audit, command, tmp_path):
    (tmp_path / "token").write_text("s3cret token\n")

    assert NOBODY in one_line_mistake(audit(*command, url=NOBODY))
    refusal = one_line_mistake(audit(*command, "--since", "last week"))
    assert "--since 'last week' is not valid" in refusal
    assert '"yesterday 22:00"' in refusal
    assert "KEY=VALUE" in one_line_mistake(audit(*command, "--detail", "shop"))
    refusal = one_line_mistake(audit(*command, "--token-file", tmp_path / "token"))
    assert str(tmp_path / "token") in refusal
    assert "s3cret" not in refusal


@pytest.mark.parametrize("command", [["list"], ["show", "order-1"], ["tail"], ["export"]], ids=lambda words: words[0])
def test_missing_url_is_one_line_that_names_option_and_variable(command):
    line = one_line_mistake(run("audit", *command, SIGNAL_GATEWAY_DATASTORAGE=""))

    assert "--datastorage" in line
    assert "SIGNAL_GATEWAY_DATASTORAGE" in line


def test_url_and_token_come_from_the_environment_and_errors_name_the_variable(tmp_path):
    (tmp_path / "known").write_text(f"read,write {'w' * 32}\n")
    (tmp_path / "known").chmod(0o600)
    (tmp_path / "token").write_text("w" * 32)
    app = create_datastorage(f"sqlite:///{tmp_path / 'audit.db'}", token_file=tmp_path / "known").app
    token_file = {"SIGNAL_GATEWAY_DATASTORAGE_TOKEN_FILE": str(tmp_path / "token")}
    with LiveServer(app, name="DataStorage", lifespan="on") as server:
        client = DataStorageClient(server.url, token="w" * 32)
        stored = store_events(client, order_event())
        client.close()

        exported = run("audit", "export", SIGNAL_GATEWAY_DATASTORAGE=server.url, **token_file)
        without = run("audit", "export", SIGNAL_GATEWAY_DATASTORAGE=server.url)
        by_option = run("audit", "export", "--datastorage", server.url, **token_file)

    assert ids(exported.stdout) == ids(by_option.stdout) == stored
    assert f"DataStorage at {server.url} (from SIGNAL_GATEWAY_DATASTORAGE) wants a token" in one_line_mistake(without)
    assert "give --token-file FILE, or set SIGNAL_GATEWAY_DATASTORAGE_TOKEN_FILE" in one_line_mistake(without)
    assert "Authorization" not in without.stderr
    (tmp_path / "token").unlink()
    gone = run("audit", "export", SIGNAL_GATEWAY_DATASTORAGE=NOBODY, **token_file)
    assert "(from SIGNAL_GATEWAY_DATASTORAGE_TOKEN_FILE) can't be read" in one_line_mistake(gone)


def test_help_names_the_variables():
    shown = run("audit", "list", "--help", COLUMNS="200").stdout

    assert "$SIGNAL_GATEWAY_DATASTORAGE " in shown
    assert "$SIGNAL_GATEWAY_DATASTORAGE_TOKEN_FILE" in shown


def test_tail_shows_what_is_stored_from_now_on_late_or_not(datastorage, client):
    store_events(client, order_event(correlation_id="before"))
    with tailing(datastorage.url) as process:
        store_events(client, order_event(correlation_id="fresh"))
        assert "order.placed" in (first := process.stdout.readline())
        assert "fresh" in first
        store_events(client, order_event(correlation_id="late", age=timedelta(minutes=50)))
        assert "late" in process.stdout.readline()

        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 0


def test_tail_survives_a_restart_of_datastorage_and_says_so_once(datastorage, client):
    with tailing(datastorage.url, "--json", "--outcome", "failure") as process:
        datastorage.stop()
        assert process.stderr.readline().startswith("asking again every 0.05 s: no DataStorage at ")
        datastorage.start()
        assert process.stderr.readline() == f"DataStorage at {datastorage.url} answers again\n"
        store_events(client, order_event(), failed := order_event(event_outcome="failure"))

        assert ids(process.stdout.readline()) == [failed.event_id]
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 0


def test_reader_that_goes_away_is_no_traceback(datastorage, client):
    store_events(client, *(order_event(number) for number in range(2000)))
    command = [*COMMAND, "audit", "export", "--datastorage", datastorage.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()

    assert errors == ""
    assert process.returncode == 1
