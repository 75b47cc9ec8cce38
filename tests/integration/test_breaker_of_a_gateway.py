import pytest

OPENS_SOON = {"retry": {"max_attempts": 1}, "breaker": {"minimum_calls": 4, "open_for": 30, "probes": 1}}


@pytest.mark.gateway(processing=OPENS_SOON)
def test_open_breaker_spares_the_api_until_the_clock_has_moved_on(gateway):
    def send(number):
        return gateway.send_alert("X", namespace="prod", deployment=f"api-{number}")

    def state():
        return gateway.metrics.value("gateway_circuit_breaker_state", name="kubernetes")

    assert state() == 0
    with gateway.cluster.faults.fail(verb="create", resource="remediationrequests", status=503) as fault:
        for number in range(2):
            assert send(number).status_code == 503
        refused = send(2)
    assert (refused.status_code, refused.headers["retry-after"], fault.hits, state()) == (503, "30", 2, 2)
    assert send(3).status_code == 503  # though the API would answer again

    gateway.clock.advance(31)

    assert send(4).status_code == 201
    assert state() == 0
