"""A service whose asynchronous handler blocks the event loop of all servers."""

CONFTEST = """
    from signal_gateway.testing.runtime import running_loop

    running_loop.BLOCKED_SECONDS = 0.5  # instead of 10, for this suite
"""
BLOCKING_SERVICE = """
    import threading

    import httpx
    import pytest
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    free = threading.Event()

    async def block(request):
        free.wait(60)
        return PlainTextResponse("late")

    def test_service_that_blocks(gateway_serve):
        service = gateway_serve(Starlette(routes=[Route("/", block)]))
        with pytest.raises(httpx.ReadTimeout):
            service.client.get("/", timeout=0.5)

    def test_next_gateway_works(gateway):
        assert gateway.send_alert("X", namespace="prod", deployment="api").status_code == 201

    def test_the_one_after_it_works(gateway):
        free.set()
        assert gateway.send_alert("X", namespace="prod", deployment="api").status_code == 201
"""


def test_service_that_blocks_the_loop_is_named_with_its_stack_and_the_next_tests_pass(suite):
    result = suite(conftest=CONFTEST, test_it=BLOCKING_SERVICE)

    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(["*the stop of the service at * got no turn within *: the service at *"])
    result.stdout.fnmatch_lines(["*blocks the loop 'gateway-servers' in block, test_it.py:*"])
    result.stdout.fnmatch_lines(["*free.wait(60)*"])
    result.stdout.fnmatch_lines(["gateway: 3 servers, *"])


def test_gateway_that_another_service_calls_synchronously_is_an_error_at_once(suite):
    result = suite(
        test_it="""
        from starlette.applications import Starlette
        from starlette.responses import PlainTextResponse
        from starlette.routing import Route

        def test_forwarder(gateway, gateway_serve):
            async def forward(request):
                gateway.send_alert("X", namespace="prod", deployment="api")
                return PlainTextResponse("sent")

            service = gateway_serve(Starlette(routes=[Route("/", forward)]))
            assert service.client.get("/").text == "sent"
        """
    )

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*a synchronous request to the gateway at * from its own event loop would wait*"])
