"""Sessions that run no test, and small promises to the people who read the output."""

import pytest

ALERT = 'assert gateway.send_alert("X", namespace="prod", deployment="api").status_code == 201'
NO_SERVER = "http://127.0.0.1:9"  # the port of the discard service


@pytest.mark.parametrize("option", ["--fixtures", "--fixtures-per-test", "--setup-plan", "--collect-only", "--markers"])
def test_session_without_tests_needs_no_datastorage(suite, option):
    result = suite(
        option,
        *("--gateway-datastorage-url", NO_SERVER),
        test_it="""
        def test_alert(gateway, gateway_datastorage):
            pass
        """,
    )

    assert result.ret == pytest.ExitCode.OK
    result.stdout.no_fnmatch_line("gateway: *")
    result.stderr.no_fnmatch_line("*DataStorage*")


def test_setup_only_sets_up_each_test_that_needs_no_datastorage(suite):
    result = suite(
        *("--setup-only", "--gateway-datastorage-url", NO_SERVER),
        test_it="""
        import pytest

        @pytest.fixture
        def own():
            pass

        def test_other(own, gateway_cluster):
            pass

        def test_alert(gateway):
            pass
        """,
    )

    assert result.parseoutcomes() == {"errors": 1}
    result.stdout.fnmatch_lines(["*SETUP    F own*", f"*DataStorageUnavailable: *{NO_SERVER}*"])


def test_setup_only_with_an_embedded_datastorage_sets_up_all(suite):
    result = suite("--setup-only", test_it="def test_alert(gateway): pass")

    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["*SETUP    F gateway *"])
    result.stdout.fnmatch_lines(["gateway: 1 server, 1 flusher, 0 events recorded, *"])


@pytest.mark.parametrize("fixture", ["gateway", "gateway_config", "gateway_outage"])
def test_marker_with_a_positional_argument_is_an_error(suite, fixture):
    result = suite(
        test_it=f"""
        import pytest

        @pytest.mark.gateway({{"processing": {{"retry": {{"max_attempts": 1}}}}}})
        def test_alert({fixture}):
            pass
        """,
    )

    assert result.parseoutcomes() == {"errors": 1}
    result.stdout.fnmatch_lines(
        ["E *ConfigurationError: @pytest.mark.gateway takes settings by name, got the argument {'processing': *"]
    )


def test_encoding_warnings_are_no_errors_of_this_package(suite, monkeypatch):
    monkeypatch.setenv("PYTHONWARNDEFAULTENCODING", "1")

    result = suite(
        "-W",
        "error::EncodingWarning",
        test_it=f"""
        import pytest

        def test_alert(gateway, gateway_outage):
            {ALERT}
            assert gateway.cluster.kubeconfig.exists()
            gateway_outage.gateway_factory().send_alert("X", namespace="prod", deployment="api")

        def test_red(gateway):
            {ALERT}
            gateway.audit_trail.one("gateway.crd.created", correlation_id="c-1")
        """,
    )

    assert result.parseoutcomes() == {"passed": 1, "failed": 1}


@pytest.mark.parametrize(
    ("marker", "line"),
    [
        ("", 'gateway.audit_trail.one("demo.order")'),
        ("", 'gateway.audit_trail.none(event_type="gateway.crd.created")'),
        ("", 'gateway.audit_trail.sequence("demo.order", correlation_id="c-1")'),
        ("async ", 'await gateway.audit_trail.aone("demo.order")'),
        ("async ", 'await gateway.audit_trail.anone("gateway.crd.created")'),
        ("async ", 'await gateway.audit_trail.asequence("demo.order", correlation_id="c-1")'),
    ],
    ids=["one", "none", "sequence", "aone", "anone", "asequence"],
)
def test_failed_claim_about_the_trail_shows_the_line_of_the_test_alone(suite, marker, line):
    result = suite(
        *("-o", "asyncio_mode=auto"),
        test_it=f"""
        {marker}def test_claim(gateway):
            {ALERT}
            {line}
        """,
    )

    assert result.parseoutcomes() == {"failed": 1}
    result.stdout.fnmatch_lines([f">*{line.replace('[', '[[]')}", "E *AuditTrailMismatch: wanted *", "test_it.py:*"])
    result.stdout.no_fnmatch_line("*audit/trail.py*")
    result.stdout.no_fnmatch_line("*site-packages*")


def test_report_of_a_service_says_service_and_the_status_of_a_server_error(suite):
    result = suite(
        test_it="""
        def test_red(gateway_serve):
            async def app(scope, receive, send):
                if scope["type"] == "http":
                    raise RuntimeError("the order book is closed")

            service = gateway_serve(app)
            assert service.client.get("/orders").status_code == 200
        """,
    )

    result.stdout.fnmatch_lines(
        [
            "E *service: the last request was GET /orders -> 500; *",
            "*service http://*: last requests*",
            "GET /orders -> 500 *",
            "*RuntimeError: the order book is closed",
        ]
    )
