def test_backoff_takes_no_time_when_the_clock_is_moved(suite):
    result = suite(
        test_it="""
        import threading
        import pytest

        @pytest.mark.gateway(processing={"retry": {"initial_backoff": 60, "max_backoff": 60}, "request_deadline": 3600})
        def test_second_attempt(gateway):
            gateway.cluster.faults.fail(verb="create", resource="remediationrequests", status=503, times=1)
            codes = []
            sender = threading.Thread(
                target=lambda: codes.append(
                    gateway.send_alert("X", namespace="prod", deployment="api").status_code
                )
            )
            sender.start()
            gateway.clock.wait_for_sleepers()
            gateway.clock.advance(70)
            sender.join(60)
            assert codes == [201]
        """
    )

    result.assert_outcomes(passed=1)


def test_cooldown_ends_when_the_clock_is_moved(suite):
    result = suite(
        test_it="""
        from datetime import timedelta
        from lightkube.types import PatchType
        from signal_gateway.kubernetes.resources import RemediationRequest, RemediationRequestStatus

        def test_cooldown(gateway):
            alert = dict(namespace="prod", deployment="api")
            name = gateway.send_alert("X", **alert).json()["remediationRequestName"]
            until = (gateway.clock.now() + timedelta(hours=1)).isoformat().replace("+00:00", "Z")
            status = {"overallPhase": "Failed", "routingStatus": {"nextAllowedExecution": until}}
            gateway.cluster.lightkube().patch(
                RemediationRequestStatus, name, {"status": status}, namespace=gateway.cluster.namespace,
                patch_type=PatchType.MERGE,
            )
            assert gateway.send_alert("X", **alert).json()["status"] == "duplicate"

            gateway.clock.advance(3601)

            assert gateway.send_alert("X", **alert).json()["status"] == "created"
        """
    )

    result.assert_outcomes(passed=1)


def test_clocks_are_each_gateways_own(suite):
    result = suite(
        test_it="""
        def test_two(gateway_factory):
            first, second = gateway_factory(), gateway_factory()
            first.clock.advance(3600)
            assert (first.clock.now() - second.clock.now()).total_seconds() > 3590
        """
    )

    result.assert_outcomes(passed=1)
