"""DataStorage as examples/deploy starts it, on a real PostgreSQL, with the Secrets that somebody filled in."""

import re
import secrets as randomness
import signal

import httpx
import pytest
from tests.support.command_line import URL, one_line_mistake, run, running
from tests.support.deploy_manifests import deployed, secrets, workloads
from tests.support.kubelet import Kubelet
from tests.support.postgres_server import PASSWORD, PostgresServer
from tests.support.stored_events import order_event, store_events

from signal_gateway.audit import DataStorageClient
from signal_gateway.audit.client.token import read_token

[DATASTORAGE] = [one for one in workloads(deployed()) if one["kind"] == "Deployment"]
[GATEWAY] = [one for one in workloads(deployed()) if one["kind"] == "StatefulSet"]
EXAMPLE = {one["metadata"]["name"]: one["stringData"] for one in secrets()}
PLACEHOLDER = re.compile(r"<([^>]+)>")


@pytest.fixture(scope="module")
def postgres(postgres_programs):  # noqa: ARG001 - it skips where there are none
    with PostgresServer() as server:
        yield server


@pytest.fixture
def filled_in(postgres):
    """The Secrets' contents; where the example says the same twice, the same was filled in."""
    tokens = {}

    def token(placeholder):
        return tokens.setdefault(placeholder[1], randomness.token_hex(32))

    contents = {
        name: {key: PLACEHOLDER.sub(token, text) for key, text in data.items()} for name, data in EXAMPLE.items()
    }
    url = postgres.url().replace(f":{PASSWORD}@", "@")
    return contents | {"datastorage-database": {"url": url, "password": PASSWORD}}


@pytest.fixture
def command(tmp_path, monkeypatch):
    """What the container is started with, but for the address."""

    def prepared(contents):
        kubelet = Kubelet(tmp_path, contents)
        kubelet.mount(DATASTORAGE)
        for name, value in kubelet.environment(DATASTORAGE).items():
            monkeypatch.setenv(name, value)
        return [argument.replace("=0.0.0.0:8080", "=127.0.0.1:0") for argument in kubelet.arguments(DATASTORAGE)]

    return prepared


def test_datastorage_takes_the_token_that_the_gateway_has(filled_in, command, tmp_path):
    arguments = command(filled_in)
    kubelet = Kubelet(tmp_path, filled_in)
    kubelet.mount(GATEWAY)
    token = read_token(kubelet.path("/var/run/secrets/datastorage/token"), source="the gateway's Secret")

    with running(*arguments, until="DataStorage on") as (process, line):
        client = DataStorageClient(URL.search(line)[0], token=token)
        [stored] = store_events(client, order_event())
        client.close()
        people = re.search(r"^read +(\w+)", filled_in["datastorage-tokens"]["tokens"], re.MULTILINE)[1]
        reader = DataStorageClient(client.url, token=people)
        found = [event["event_id"] for event in reader.events(event_type="order.placed")]
        reader.close()
        assert httpx.get(f"{client.url}/readyz", trust_env=False).status_code == 200
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)

    assert found == [stored]
    assert (process.returncode, errors) == (0, "")


def test_password_is_not_on_the_command_line(filled_in, command):
    assert not any(PASSWORD in argument for argument in command(filled_in))


def test_secrets_that_nobody_filled_in_are_refused(filled_in, command):
    arguments = command(filled_in | {"datastorage-tokens": EXAMPLE["datastorage-tokens"]})

    mistake = one_line_mistake(run(*arguments))

    assert "/tokens, line 1: its token has a character that a bearer token can't have" in mistake
