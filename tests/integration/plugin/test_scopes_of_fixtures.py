"""Gateways and services that run for a class, a module, a package or the whole session."""

import pytest

SHOP = """
from prometheus_client import Counter
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

def create_app(registry):
    placed = Counter("placed", "Orders.", registry=registry)

    async def place(request):
        placed.inc()
        return PlainTextResponse("placed")

    return Starlette(routes=[Route("/", place)])
"""


@pytest.mark.parametrize("scope", ["class", "module", "package", "session"])
def test_service_of_a_wider_scope_is_shared_by_its_tests(suite, scope):
    result = suite(
        shop=SHOP,
        test_shop=f"""
        import pytest
        from shop import create_app

        URLS = []

        @pytest.fixture(scope="{scope}")
        def shop(gateway_serve_{scope}):
            return gateway_serve_{scope}(create_app)

        class TestShop:
            @pytest.mark.parametrize("number", [1, 2])
            def test_order(self, shop, number):
                with shop.metrics.delta() as delta:
                    assert shop.client.get("/").text == "placed"
                assert delta["placed_total"] == 1
                assert shop.metrics.value("placed_total") == number
                URLS.append(shop.url)

            def test_both_had_one_server(self):
                assert len(URLS) == 2 and len(set(URLS)) == 1
        """,
    )

    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["gateway: 1 server, 1 flusher, *"])


@pytest.mark.parametrize("scope", ["class", "module", "package", "session"])
def test_gateways_of_a_wider_scope_share_a_cluster_and_keep_their_settings(suite, scope):
    result = suite(
        test_it=f"""
        import pytest

        pytestmark = pytest.mark.gateway(processing={{"retry": {{"max_attempts": 4}}}})
        UIDS = set()

        @pytest.fixture(scope="{scope}")
        def shared(gateway_factory_{scope}):
            return gateway_factory_{scope}(processing={{"request_deadline": 7}})

        class TestGateway:
            @pytest.mark.parametrize("status", [201, 202])
            def test_alert(self, shared, gateway, status):
                sent = shared.send_alert("X", namespace="prod", deployment="api")
                assert sent.status_code == status
                assert shared.config.processing.request_deadline == 7
                assert shared.config.processing.scope.enabled is False
                assert gateway.send_alert("X", namespace="prod", deployment="api").status_code == 201
                shared.audit_trail.one("gateway.crd.created", correlation_id=sent.json()["remediationRequestName"])

            def test_marker(self, shared):
                expected = 4 if "{scope}" in ("class", "module") else 3
                assert shared.config.processing.retry.max_attempts == expected
        """,
    )

    result.assert_outcomes(passed=3)


def test_service_of_a_module_ends_with_the_module(suite):
    result = suite(
        shop=SHOP,
        test_a="""
        import httpx
        import pytest
        import urls
        from shop import create_app

        def test_order(gateway_serve_module):
            service = gateway_serve_module(create_app)
            urls.OF_A.append(service.url)
            assert service.client.get("/").text == "placed"

        def test_later_test_of_the_module():
            assert httpx.get(urls.OF_A[0], trust_env=False).text == "placed"
        """,
        test_b="""
        import httpx
        import pytest
        import urls

        def test_server_is_gone():
            with pytest.raises(httpx.ConnectError):
                httpx.get(urls.OF_A[0], trust_env=False)
        """,
        urls="OF_A = []",
    )

    result.assert_outcomes(passed=3)


def test_failed_test_reports_the_service_of_its_module(suite):
    result = suite(
        shop=SHOP,
        test_it="""
        import pytest
        from shop import create_app

        @pytest.fixture(scope="module")
        def shop(gateway_serve_module):
            return gateway_serve_module(create_app)

        def test_order(shop):
            assert shop.client.get("/").text == "refused"
        """,
    )

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*- service http://127.0.0.1:*: last requests -*", "GET / -> 200 *placed"])


def test_module_that_is_imported_while_a_wider_service_runs_causes_no_warning(suite):
    result = suite(
        shop=SHOP,
        late="from prometheus_client import Counter\nCounter('late', 'Registered at import.')",
        test_it="""
        from shop import create_app

        def test_order(gateway_serve_session):
            gateway_serve_session(create_app)

        def test_import():
            import late
        """,
    )

    result.assert_outcomes(passed=2)


def test_two_xdist_workers_have_a_session_service_each(suite):
    result = suite(
        "-n2",
        shop=SHOP,
        test_it="""
        import pytest
        from shop import create_app

        @pytest.fixture(scope="session")
        def shop(gateway_serve_session):
            return gateway_serve_session(create_app)

        @pytest.mark.parametrize("number", range(6))
        def test_order(shop, number):
            with shop.metrics.delta() as delta:
                shop.client.get("/")
            assert delta == {"placed_total": 1}
        """,
    )

    result.assert_outcomes(passed=6)
    result.stdout.fnmatch_lines(["gateway: 2 servers, 2 flushers, *"])


def test_fixtures_of_all_scopes_are_listed_with_their_docstrings(suite):
    result = suite("--fixtures", test_it="def test_nothing(): pass")

    lines = result.stdout.str()
    for scope in ("class", "module", "package", "session"):
        assert f"gateway_serve_{scope} [{scope} scope]" in lines
        assert f"As `gateway_serve`; the services run until the end of the {scope}." in lines
        assert f"gateway_factory_{scope} [{scope} scope]" in lines
