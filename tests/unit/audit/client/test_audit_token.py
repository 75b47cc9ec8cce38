"""A client's token: read from a file, sent, and never shown."""

import contextlib

import pytest

from signal_gateway.audit import DataStorageClient, TokenRefused
from signal_gateway.audit.client.token import read_token
from signal_gateway.errors import ConfigurationError


@pytest.fixture
def client_with(fault_server):
    """Make clients of the server with a token, or without one."""
    with contextlib.ExitStack() as stack:

        def make(token):
            client = DataStorageClient(fault_server.url, token=token, source="--datastorage")
            stack.callback(client.close)
            return client

        yield make


@pytest.mark.parametrize("content", [b"s3cret", b"s3cret\n", b"  s3cret \r\n\n"])
def test_token_is_the_first_line_without_the_spaces_around_it(tmp_path, content):
    (tmp_path / "token").write_bytes(content)

    assert read_token(tmp_path / "token", source="--token-file") == "s3cret"


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "empty"),
        (b"\ns3cret", "one line"),
        (b" \n", "empty"),
        (b"s3cret\nmore", "one line"),
        (b"s3cret audit:read\n", "spaces"),
        (b"s3cret\x00\n", "characters"),
        (b"s3cret\xff\n", "characters"),
        (b"s3cret" * 20_000, "65536 bytes"),
    ],
)
def test_file_that_holds_no_token_is_refused_and_not_shown(tmp_path, content, what):
    path = tmp_path / "token"
    path.write_bytes(content)

    with pytest.raises(ConfigurationError, match=what) as refusal:
        read_token(path, source="--token-file")

    assert f"token file {str(path)!r} (from --token-file)" in str(refusal.value)
    assert "s3cret" not in str(refusal.value)


@pytest.mark.parametrize("name", ["missing", "", "nul\0"])
def test_file_that_can_not_be_read_is_refused(tmp_path, name):
    with pytest.raises(ConfigurationError, match="can't be read"):
        read_token(f"{tmp_path}/{name}", source="--token-file")


@pytest.mark.parametrize(
    ("status", "token", "challenge", "said"),
    [
        (401, None, "Bearer", "wants a token: it answered 401 (scripted)"),
        (401, "s3cret", "Bearer", "refuses the token: it answered 401 (scripted)"),
        (
            403,
            "s3cret",
            'Bearer error="insufficient_scope", scope="read"',
            "the token, which lacks the scope 'read': it",
        ),
        (403, "s3cret", None, "refuses the token: it answered 403 (scripted)"),
    ],
)
def test_refused_token_is_an_error_that_says_what_is_missing(
    fault_server, client_with, monkeypatch, status, token, challenge, said
):
    headers = {} if challenge is None else {"WWW-Authenticate": challenge}
    body = b'{"detail": "scripted"}'
    monkeypatch.setattr(
        fault_server, "_get", lambda handler: handler.reply(status, body, "application/problem+json", **headers)
    )
    client = client_with(token)

    for ask in (client.check, client.query, client.limits, lambda: list(client.export())):
        with pytest.raises(TokenRefused) as refusal:
            ask()
        assert f"DataStorage at {fault_server.url} (from --datastorage) " in str(refusal.value)
        assert said in str(refusal.value)
        assert refusal.value.answered
        assert "s3cret" not in str(refusal.value)


@pytest.mark.parametrize("scopes", ["write", "read,write", "read", ""])
def test_token_for_deliveries_need_not_be_good_for_reading(fault_server, client_with, monkeypatch, scopes):
    def lacking(scope):
        challenge = f'Bearer error="insufficient_scope", scope="{scope}"'
        return fault_server.status(403, b"{}", "application/problem+json", WWW_Authenticate=challenge)

    if "read" not in scopes:
        monkeypatch.setattr(fault_server, "_get", lambda handler: lacking("read")(handler, []))
    fault_server.always(fault_server.problem(400) if "write" in scopes else lacking("write"))
    client = client_with("s3cret")

    if "write" in scopes:
        client.check_delivery()
    else:
        with pytest.raises(TokenRefused, match="lacks the scope 'write'"):
            client.check_delivery()


def test_check_of_deliveries_without_a_token_sends_nothing(fault_server, client_with):
    client_with(None).check_delivery()

    assert fault_server.bodies == []
