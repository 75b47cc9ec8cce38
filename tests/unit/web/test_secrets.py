import time

import pytest

from signal_gateway.web.secrets import is_secret_name, masked


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sent with Bearer abc.DEF-1_2~3+/==, refused", "sent with Bearer ***, refused"),
        ("{'Authorization': 'Basic dXNlcjpwYXNz'}", "{'Authorization': '***'}"),
        ("[(b'cookie', b'session=1')]", "[(b'cookie', b'***')]"),
        ("authorization: Bearer abc\r\nhost: x", "authorization: ***\r\nhost: x"),
        ("postgresql://me:p@ss@db/audit is down", "postgresql://me:***@db/audit is down"),
        ("http://:hunter2@proxy", "http://:***@proxy"),
        ("password=hunter2 host=db", "password=*** host=db"),
        ('{"client_secret": "hunter2", "name": "x"}', '{"client_secret": "***", "name": "x"}'),
        ("?access_token=hunter2&page=2", "?access_token=***&page=2"),
        ("PASSWD=hunter2", "PASSWD=***"),
        ("apikey='hunter2'", "apikey='***'"),
        ("X-Api-Key=hunter2", "X-Api-Key=***"),
        ("db_pa\N{LATIN SMALL LETTER LONG S}\N{LATIN SMALL LETTER LONG S}word=hunter2", "db_pa\u017f\u017fword=***"),
    ],
)
def test_secret_is_masked_and_what_is_around_it_stays(text, expected):
    assert masked(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "http://db:8080/users/me@example.org",
        "audit.token_file = /run/token: it is required",
        "the token was refused, and the password, too",
        "request 0190b7d3-5f1e-7b0a-9c3d-2f6a4be6a111 for rr-91fce8d5c494-00000000",
    ],
)
def test_what_is_no_secret_stays(text):
    assert masked(text) == text


@pytest.mark.parametrize("name", ["password", "db_password", "API-Key", "token", "client_secret", "Authorization"])
def test_name_of_a_secret_is_known(name):
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["token_file", "key", "certificate", "secret_name", "fingerprint"])
def test_name_of_something_else_is_no_secrets(name):
    assert not is_secret_name(name)


@pytest.mark.parametrize("part", ["a", "a-", "token", "a://b:", "cookie ", "password'", "bearer "])
def test_long_text_that_others_wrote_takes_no_longer_than_another_of_its_length(part):
    def seconds(text):
        begun_at = time.process_time()
        masked(text)
        return time.process_time() - begun_at

    length = 20_000
    plain = min(seconds(("an ordinary key, " * length)[:length]) for _ in range(3))

    assert seconds((part * length)[:length]) < 100 * plain
