"""One small suite beside each of the well-known plugins and libraries that patch, reorder or repeat tests."""

import pytest

SUITE = """
import pytest

@pytest.mark.parametrize("number", range(2))
def test_alert(gateway, number):
    name = gateway.send_alert("X", namespace="prod", deployment="api").json()["remediationRequestName"]
    gateway.audit_trail.sequence("gateway.signal.received", "gateway.crd.created", correlation_id=name)
"""

ALERT = 'assert gateway.send_alert("X", namespace="prod", deployment="api").status_code == 201'

TIME_MACHINE = f"""
import time_machine

@time_machine.travel("2030-01-01")
def test_in_the_future(gateway):
    {ALERT}

def test_moved_by_its_fixture(gateway, time_machine):
    time_machine.move_to("2020-01-01")
    {ALERT}
"""

RESPX = f"""
import httpx
import respx

def test_strict_mock_with_pass_through(gateway):
    with respx.mock(assert_all_called=True, assert_all_mocked=True) as mock:
        mock.route(host="127.0.0.1").pass_through()
        mock.get("https://shop.example/").respond(204)
        {ALERT}
        assert httpx.get("https://shop.example/").status_code == 204
"""

HYPOTHESIS = """
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

@settings(max_examples=5, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(name=st.from_regex("[A-Z][a-z]{1,9}", fullmatch=True))
def test_names(gateway, name):
    assert gateway.send_alert(name, namespace="prod", deployment="api").status_code in (201, 202)
"""

SUBTESTS = """
def test_parts(gateway, subtests):
    for number in range(2):
        with subtests.test(number=number):
            assert gateway.send_alert("X", namespace="prod", deployment=f"api-{number}").is_success
"""

BDD_FEATURE = """
Feature: Alerts
    Scenario: One alert
        When an alert arrives
        Then a RemediationRequest exists
"""

BDD = """
from pytest_bdd import scenarios, then, when

scenarios("alerts.feature")

@when("an alert arrives", target_fixture="response")
def arrives(gateway):
    return gateway.send_alert("X", namespace="prod", deployment="api")

@then("a RemediationRequest exists")
def exists(gateway, response):
    gateway.audit_trail.one("gateway.crd.created", correlation_id=response.json()["remediationRequestName"])
"""

MOCKER = f"""
def test_patched_clock_of_another_module(gateway, mocker):
    mocker.patch("random.choice", return_value=1)
    {ALERT}
"""

UVLOOP = """
import pytest
import uvloop
from signal_gateway.testing import alert, alertmanager_webhook

WEBHOOK = alertmanager_webhook(alert("X", namespace="prod", deployment="api"))

def test_on_uvloop(gateway):
    async def send():
        return await gateway.async_client.post("/api/v1/signals/prometheus", json=WEBHOOK)

    assert uvloop.run(send()).status_code == 201
"""

TRIO = """
import trio
from signal_gateway.testing import alert, alertmanager_webhook

WEBHOOK = alertmanager_webhook(alert("X", namespace="prod", deployment="api"))

def test_on_trio(gateway):
    async def send():
        return await gateway.async_client.post("/api/v1/signals/prometheus", json=WEBHOOK)

    assert trio.run(send).status_code == 201
"""

DJANGO = f"""
import django
from django.conf import settings
from django.test import Client, SimpleTestCase
from django.http import HttpResponse
from django.urls import path

import pytest

urlpatterns = [path("", lambda request: HttpResponse("shop"))]
settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="x")
django.setup()

class TestShop(SimpleTestCase):
    @pytest.fixture(autouse=True)
    def _gateway(self, gateway):
        self.gateway = gateway

    def test_shop(self):
        gateway = self.gateway
        {ALERT}
        assert Client().get("/").content == b"shop"
"""

FLASK = f"""
from flask import Flask

def test_beside_flask(gateway):
    app = Flask("shop")
    app.add_url_rule("/", view_func=lambda: "shop")
    {ALERT}
    assert app.test_client().get("/").text == "shop"
"""

CROSSINGS = {
    "time-machine": (["time_machine"], [], 2, {"test_time": TIME_MACHINE}),
    "respx": (["respx"], [], 1, {"test_respx": RESPX}),
    "socket": (["socket"], ["--allow-hosts", "127.0.0.1"], 0, {}),
    "hypothesis": (["hypothesispytest"], [], 1, {"test_hypothesis": HYPOTHESIS}),
    "subtests": ([], [], 1, {"test_subtests": SUBTESTS}),
    "bdd": (["pytest-bdd"], [], 1, {"test_bdd": BDD}),
    "mock": (["pytest_mock"], [], 1, {"test_mock": MOCKER}),
    "randomly": (["randomly"], [], 0, {}),
    "repeat": (["repeat"], ["--count", "2"], 2, {}),
    "html": (["html", "html_fixtures", "metadata"], ["--html", "report.html"], 0, {}),
    "uvloop": ([], [], 1, {"test_uvloop": UVLOOP}),
    "trio": ([], [], 1, {"test_trio": TRIO}),
    "django": (["django"], [], 1, {"test_django": DJANGO}),
    "flask": ([], [], 1, {"test_flask": FLASK}),
    "timeout": (["timeout"], ["--timeout", "100"], 0, {}),
    "rerunfailures": (["rerunfailures"], ["--reruns", "2"], 0, {}),
}


@pytest.mark.parametrize("name", CROSSINGS)
def test_small_suite_is_green_beside(suite, pytester, tmp_path_factory, monkeypatch, name):
    plugins, arguments, more, files = CROSSINGS[name]
    temporary_files = tmp_path_factory.mktemp("temporary-files")
    monkeypatch.setenv("TMPDIR", str(temporary_files))
    if name == "bdd":
        (pytester.path / "alerts.feature").write_text(BDD_FEATURE, encoding="utf-8")
    if name == "subtests" and pytest.version_tuple < (9, 0):
        pytest.skip("pytest 9.0 brings the fixture subtests")

    result = suite(*arguments, plugins=plugins, test_suite=SUITE, **files)

    assert result.ret == pytest.ExitCode.OK
    assert result.parseoutcomes()["passed"] >= 2 + more
    assert set(result.parseoutcomes()) <= {"passed", "subtests passed", "subtests"}
    (line,) = [line for line in result.outlines if " events recorded, " in line]
    assert line.endswith(" delivered, 0 rejected, 0 pending")
    assert list(temporary_files.glob("signal-gateway-*")) == []
