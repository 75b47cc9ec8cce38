"""datastorage_options: the DataStorage of a command, from its options or the environment."""

from pathlib import Path

import pytest

from signal_gateway.commands.query import DataStorageOptions, datastorage_options
from signal_gateway.errors import ConfigurationError

URL = "SIGNAL_GATEWAY_DATASTORAGE"
TOKEN_FILE = "SIGNAL_GATEWAY_DATASTORAGE_TOKEN_FILE"


def options(url=None, token_file=None, **environment):
    return datastorage_options(url, token_file, environment=environment)


def test_url_and_token_file_come_from_the_environment():
    found = options(**{URL: "http://audit:8080", TOKEN_FILE: "/run/token"})

    assert found == DataStorageOptions("http://audit:8080", URL, Path("/run/token"), TOKEN_FILE)


def test_option_replaces_the_variable():
    found = options("http://here:1", Path("here"), **{URL: "http://audit:8080", TOKEN_FILE: "/run/token"})

    assert found == DataStorageOptions("http://here:1", "--datastorage", Path("here"), "--token-file")


def test_url_that_is_given_and_empty_is_not_replaced_by_the_variable():
    assert options("", **{URL: "http://audit:8080"}).url == ""


@pytest.mark.parametrize("environment", [{}, {URL: ""}, {TOKEN_FILE: "/run/token"}])
def test_missing_url_is_an_error_that_names_option_and_variable(environment):
    with pytest.raises(ConfigurationError, match=f"--datastorage URL, or set {URL}"):
        options(**environment)


def test_empty_variable_names_no_token_file():
    assert options("http://here:1", **{TOKEN_FILE: ""}).token_file is None


@pytest.mark.parametrize("environment", [{}, {URL: ""}, {URL: "http://here:1"}, {URL: "http://here:1/"}])
def test_token_of_the_environment_goes_to_a_url_that_is_given(environment):
    assert options("http://here:1", **environment, **{TOKEN_FILE: "/run/token"}).token_file == Path("/run/token")


def test_token_of_the_environment_goes_to_no_other_server_than_that_of_the_environment():
    with pytest.raises(ConfigurationError, match="--datastorage names another server"):
        options("http://other:1", **{URL: "http://audit:8080", TOKEN_FILE: "/run/token"})
