import subprocess


def test_promtool_accepts_the_metrics_page(gateway, program):
    gateway.send_alert("HighLatency", namespace="prod", deployment="api")
    gateway.send_alert("HighErrorRate", namespace="prod", deployment="api")
    gateway.send_alert("HighLatency", status="resolved", namespace="prod", deployment="api")
    page = gateway.client.get("/metrics").content

    check = subprocess.run([program("promtool"), "check", "metrics"], input=page, capture_output=True, timeout=60)

    assert (check.returncode, check.stderr, check.stdout) == (0, b"", b"")
    assert b"gateway_crds_created_total" in page
