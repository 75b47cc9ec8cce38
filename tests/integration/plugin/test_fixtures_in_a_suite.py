def test_five_line_test_needs_no_set_up(suite):
    result = suite(
        test_it="""
        def test_alert_becomes_a_remediation(gateway):
            response = gateway.send_alert("PodCrashLooping", namespace="prod", pod="api-7c9")
            assert response.status_code == 201
            name = response.json()["remediationRequestName"]
            gateway.audit_trail.sequence("gateway.signal.received", "gateway.crd.created", correlation_id=name)
        """
    )

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["gateway: 1 server, 1 flusher, 2 events recorded, 2 delivered, 0 rejected, 0 pending"])


def test_same_alert_in_two_tests_gives_two_names_and_two_clean_trails(suite):
    result = suite(
        test_it="""
        import pytest

        NAMES = []

        @pytest.mark.parametrize("round", [1, 2])
        def test_alert(gateway, round):
            NAMES.append(gateway.send_alert("X", namespace="prod", deployment="api").json()["remediationRequestName"])
            gateway.audit_trail.one(event_type="gateway.crd.created", correlation_id=NAMES[-1])

        def test_names():
            assert len(set(NAMES)) == 2
        """
    )

    result.assert_outcomes(passed=3)


def test_marker_and_factory_arguments_win_over_the_fixture_that_a_suite_overrides(suite):
    result = suite(
        test_it="""
        import pytest
        from signal_gateway import GatewayConfig

        @pytest.fixture
        def gateway_config():
            return GatewayConfig(processing={"request_deadline": 7, "retry": {"max_attempts": 2}})

        @pytest.mark.gateway(processing={"retry": {"max_attempts": 5}})
        def test_settings(gateway, gateway_factory):
            processing = gateway.config.processing
            assert (processing.request_deadline, processing.retry.max_attempts) == (7, 5)
            other = gateway_factory(processing={"retry": {"max_attempts": 9}}).config.processing
            assert (other.request_deadline, other.retry.max_attempts) == (7, 9)
        """
    )

    result.assert_outcomes(passed=1)


def test_wrong_setting_is_an_error_that_names_the_key_and_what_is_allowed(suite):
    result = suite(
        test_it="""
        import pytest

        @pytest.mark.gateway(processing={"retry": {"max_atempts": 5}})
        def test_settings(gateway):
            pass
        """
    )

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*processing.retry.max_atempts*"])


def test_any_application_is_served_under_the_same_rules(suite):
    result = suite(
        test_it="""
        from prometheus_client import Counter
        from signal_gateway.audit import AuditEvent
        from starlette.applications import Starlette
        from starlette.responses import PlainTextResponse
        from starlette.routing import Route

        def make_app(registry, audit_store):
            hits = Counter("hits", "Hits.", registry=registry)

            async def hit(request):
                hits.inc()
                audit_store.record(AuditEvent(
                    event_type="demo.hit", event_category="demo", event_action="hit", event_outcome="success",
                    correlation_id="c-1", event_data={"event_type": "demo.hit"},
                ))
                return PlainTextResponse("hit")

            return Starlette(routes=[Route("/", hit)])

        def test_service(gateway_serve):
            service = gateway_serve(make_app)
            assert service.client.get("/").text == "hit"
            assert service.metrics.value("hits_total") == 1
            service.audit_trail.one(event_type="demo.hit", correlation_id="c-1")

        def test_plain_app(gateway_serve):
            async def app(scope, receive, send):
                await PlainTextResponse("bare")(scope, receive, send)
            assert gateway_serve(app).client.get("/").text == "bare"
        """
    )

    result.assert_outcomes(passed=2)


def test_audit_store_outlives_the_last_fixture_and_delivers_what_teardown_records(suite):
    result = suite(
        "-x",
        test_it="""
        import pytest
        from signal_gateway.audit import AuditEvent

        @pytest.fixture(scope="session")
        def late(gateway_audit_store):
            yield
            gateway_audit_store.record(AuditEvent(
                event_type="demo.late", event_category="demo", event_action="late", event_outcome="success",
                correlation_id="c-1", event_data={"event_type": "demo.late"},
            ))

        def test_stop_here(late):
            assert False

        def test_never_run(late):
            pass
        """,
    )

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["gateway: *1 event recorded, 1 delivered, 0 rejected, 0 pending"])
