import pytest

FAILS = """
import logging
import pytest

@pytest.mark.gateway(processing={"retry": {"max_attempts": 1}})
def test_outage(gateway):
    gateway.cluster.faults.fail(verb="create", resource="remediationrequests", status=503, times=1)
    gateway.send_alert("HighLatency", namespace="prod", deployment="api")
    logging.getLogger("signal_gateway.test").warning("password=hunter2 at http://me:hunter3@example.com")
    response = gateway.send_alert("HighLatency", namespace="prod", deployment="api", api_token="hunter4")
    assert response.status_code == 503
"""


def test_failed_test_tells_what_its_gateway_did(suite):
    result = suite(test_it=FAILS)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E*gateway: the last request was POST /api/v1/signals/prometheus -> 201; more in the sections below",
            "*gateway http://127.0.0.1:*: last requests*",
            "POST /api/v1/signals/prometheus -> 503 (*Service Unavailable*",
            "POST /api/v1/signals/prometheus -> 201 (*",
            "*gateway http://127.0.0.1:*: metrics that counted*",
            'gateway_crds_created_total{*status="created"*} 1',
            "*gateway http://127.0.0.1:*: audit events, oldest first*",
            "*gateway.crd.failed*failure*HighLatency:prod:Deployment:api*",
            "*gateway.crd.created*success*rr-*",
        ]
    )
    result.stdout.no_fnmatch_line("*settings of the session*")


def test_full_report_adds_settings_with_their_sources_and_the_log(suite):
    result = suite("--gateway-report", "full", "--show-capture=no", test_it=FAILS)

    result.stdout.no_fnmatch_line("*last requests*")  # the terminal was told to show nothing captured
    result = suite("--gateway-report", "full", test_it=FAILS)

    result.stdout.fnmatch_lines(
        [
            "*gateway http://127.0.0.1:*: settings*",
            '*"max_attempts": 1*',
            "*gateway: settings of the session*",
            "report = full (--gateway-report)",
            "*gateway: log*",
            "WARNING signal_gateway.test: password=[[]redacted[]] at http://[[]redacted[]]@example.com",
        ]
    )


@pytest.mark.parametrize("report", ["none", "brief"])
def test_report_says_as_much_as_was_asked_for(suite, report):
    result = suite(f"--gateway-report={report}", test_it=FAILS)

    result.assert_outcomes(failed=1)
    seen = "last requests" in result.stdout.str()
    assert seen == (report != "none")
    assert ("the last request was" in result.stdout.str()) == seen


def test_report_comes_from_xdist_workers_too(suite):
    result = suite("-n", "1", test_it=FAILS)

    result.stdout.fnmatch_lines(["*last requests*", "*gateway.crd.failed*"])


def test_test_that_passes_or_serves_nothing_tells_nothing(suite):
    result = suite(
        test_it="""
        def test_passes(gateway):
            gateway.send_alert("X", namespace="prod", deployment="api")

        def test_fails():
            assert False
        """
    )

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.no_fnmatch_line("*last requests*")


def test_service_of_ones_own_is_told_of(suite):
    result = suite(
        test_it="""
        from prometheus_client import Counter
        from starlette.applications import Starlette
        from starlette.responses import PlainTextResponse
        from starlette.routing import Route

        def make_app(registry, audit_store):
            seen = Counter("seen", "Requests.", registry=registry)

            async def hello(request):
                seen.inc()
                return PlainTextResponse("hello")

            return Starlette(routes=[Route("/", hello)])

        def test_service(gateway_serve):
            assert gateway_serve(make_app).client.get("/").text == "bye"
        """
    )

    result.stdout.fnmatch_lines(
        ["*service http://127.0.0.1:*: last requests*", "GET / -> 200 (*) hello", "seen_total 1"]
    )


def test_secrets_in_what_is_told_are_redacted(suite):
    result = suite(
        test_it="""
        from starlette.applications import Starlette
        from starlette.responses import JSONResponse
        from starlette.routing import Route

        async def answer(request):
            return JSONResponse({"access_token": "hunter2", "url": "http://me:hunter3@example.com/", "name": "api"})

        def test_service(gateway_serve):
            gateway_serve(Starlette(routes=[Route("/", answer)])).client.get("/")
            raise AssertionError
        """
    )

    result.stdout.fnmatch_lines(
        ['GET / -> 200 (*) {"access_token":[[]redacted[]],"url":"http://[[]redacted[]]@example.com/","name":"api"}']
    )
    result.stdout.no_fnmatch_line("*-> 200*hunter*")


def test_what_an_application_raised_is_told(suite):
    result = suite(
        test_it="""
        from starlette.applications import Starlette
        from starlette.routing import Route

        async def divide(request):
            return 1 / 0

        def test_service(gateway_serve):
            assert gateway_serve(Starlette(routes=[Route("/", divide)])).client.get("/").status_code == 200
        """
    )

    result.stdout.fnmatch_lines(
        ["GET / -> 500 (*) Internal Server Error", "*test_it.py*in divide", "ZeroDivisionError: division by zero"]
    )
