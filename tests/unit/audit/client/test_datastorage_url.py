"""checked_url: usual URLs are checked without httpx, and by the same rules as the others."""

import subprocess
import sys

import httpx
import pytest

from signal_gateway.audit.client.url import checked_url
from signal_gateway.errors import ConfigurationError


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8080",
        "https://audit.example.org/",
        "http://audit",
        "http://datastorage.kubernaut-system.svc:8080/audit/v1/",
        "HTTP://Audit:65535",
        "http://10.0.0.255:1",
    ],
)
def test_usual_url_is_taken_without_its_trailing_slash(url):
    assert checked_url(url, "argument") == url.rstrip("/")
    assert httpx.URL(url).host


@pytest.mark.parametrize(
    "url",
    [
        "http://999.1.1.1",
        "http://01.2.3.4",
        "http://audit:0",
        "http://:80",
        "audit:1",
    ],
)
def test_url_that_only_looks_usual_is_refused(url):
    with pytest.raises(ConfigurationError, match="from argument"):
        checked_url(url, "argument")


def test_usual_url_does_not_import_httpx():
    code = (
        "import sys; from signal_gateway.audit.client.client import DataStorageClient;"
        "DataStorageClient('http://127.0.0.1:8080'); print('httpx' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "False\n"
