import pytest


@pytest.mark.parametrize(
    ("arguments", "processes"),
    [
        ([], ["main"]),
        (["-n", "4"], ["main", "gw0", "gw1", "gw2", "gw3"]),
        (["-p", "randomly", "--randomly-seed", "1"], ["main"]),
    ],
    ids=["one process", "four workers", "random order"],
)
def test_tests_of_every_kind_share_a_suite(clean_suite, kinds, arguments, processes):
    result = clean_suite(*arguments, servers=8, processes=processes, **kinds)

    result.assert_outcomes(passed=8)
    assert ("randomly" in arguments) == ("Using --randomly-seed=1" in result.stdout.str())


@pytest.mark.parametrize("loop_scope", ["function", "session"])
def test_asyncio_tests_in_auto_mode(clean_suite, kinds, loop_scope):
    result = clean_suite(
        *("-o", "asyncio_mode=auto"),
        *("-o", f"asyncio_default_test_loop_scope={loop_scope}"),
        *("-o", f"asyncio_default_fixture_loop_scope={loop_scope}"),
        servers=3,
        send=kinds["send"],
        test_plain=kinds["test_plain"],
        test_asyncio_auto="""
        import pytest
        from send import send

        @pytest.fixture
        async def sent(gateway):
            await send(gateway)
            return gateway

        async def test_asyncio(gateway):
            await send(gateway)

        async def test_fixture_on_the_loop(sent):
            assert sent.metrics.value("gateway_crds_created_total", source_type="prometheus", status="created") == 1
        """,
    )

    result.assert_outcomes(passed=3)
