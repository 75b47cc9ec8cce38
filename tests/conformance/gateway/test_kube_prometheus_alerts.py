"""The object that public alerts end at, for three ways of scraping and for the rules of many projects."""

import pytest
from tests.conformance.gateway.alert_clusters import custom_definitions, fill, read_alerts, targets_of
from tests.conformance.gateway.targets_page import PAGE, tables, with_tables

from signal_gateway.testing import EmbeddedCluster

SCOPE_OFF = {"scope": {"enabled": False}}


@pytest.fixture
def score(gateway_factory):
    """Return the score of a file of alerts in a cluster with its objects."""

    def score(name, *, by):
        content = read_alerts(name)
        with EmbeddedCluster(crds=[*custom_definitions()]) as cluster:
            pods = fill(cluster, content)
            return targets_of(gateway_factory(cluster=cluster), content, pods, by=by)

    return score


@pytest.mark.parametrize(
    "name",
    ["kube_prometheus_alerts.json", "kube_prometheus_more_alerts.json", "kube_prometheus_other_half_alerts.json"],
)
def test_alerts_of_kube_prometheus_end_at_the_object_that_they_are_about(score, name):
    found = score(name, by="scrape")

    assert found.invented == []
    assert found.ratio >= 0.97, "\n".join(found.wrong)


@pytest.mark.parametrize("name", ["other_projects_alerts.json", "further_projects_alerts.json"])
def test_alerts_of_other_projects_end_at_the_object_that_a_person_would_name(score, name):
    found = score(name, by="project")

    assert found.invented == []
    assert found.ratio >= 0.85, "\n".join(found.wrong)


def test_page_about_targets_has_the_tables_of_the_code():
    page = PAGE.read_text()

    assert page == with_tables(page)
    assert all(f"<!-- {name} -->" in page for name in tables())
