import asyncio

import pytest

from signal_gateway import GatewayConfig
from signal_gateway.kubernetes import KubernetesError
from signal_gateway.testing import EmbeddedCluster, GatewayFactory, RecordingAuditStore
from signal_gateway.testing.plugin.settings import Setting, Settings
from signal_gateway.testing.plugin.suite import Suite

UNSET = Setting(None, "default")


@pytest.fixture
def suite_of_its_own():
    suite = Suite(Settings(datastorage_url=UNSET, kubeconfig=UNSET))
    yield suite
    suite.close()


def factory_on(cluster, suite):
    return GatewayFactory(
        suite.host,
        config=GatewayConfig(processing={"scope": {"enabled": False}}),
        cluster=cluster,
        audit_store=RecordingAuditStore(),
    )


def test_factory_gives_back_its_client_to_a_cluster_that_outlives_it(suite_of_its_own):
    with EmbeddedCluster() as cluster:
        factory = factory_on(cluster, suite_of_its_own)
        first, second = factory(), factory()
        client = first.gateway.kubernetes

        factory.close()

        assert second.gateway.kubernetes is client
        with pytest.raises(KubernetesError, match="is closed"):
            asyncio.run(client.ping())


def test_cluster_serves_the_next_factory_when_one_has_closed(suite_of_its_own):
    with EmbeddedCluster() as cluster:
        for status in (201, 202):
            factory = factory_on(cluster, suite_of_its_own)

            response = factory().send_alert("X", namespace="prod", deployment="api")

            assert response.status_code == status
            factory.close()


def test_factory_may_close_after_the_cluster_that_closed_its_client(suite_of_its_own):
    with EmbeddedCluster() as cluster:
        factory = factory_on(cluster, suite_of_its_own)
        live = factory()
        live.stop()
    client = live.gateway.kubernetes

    factory.close()

    with pytest.raises(KubernetesError, match="is closed"):
        asyncio.run(client.ping())
