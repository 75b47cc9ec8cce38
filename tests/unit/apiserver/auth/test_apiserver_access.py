import httpx
import pytest

from signal_gateway.apiserver import Rule, User
from signal_gateway.errors import ApiServerError
from signal_gateway.testing import EmbeddedCluster

PROM = User("prom", uid="7", groups=("monitoring",), extra={"scopes": ("read", "write")})
TOKENS = {"prom-token": PROM, "other-token": User("other")}
RULES = [
    Rule(users=("prom",), verbs=("create",), api_groups=("",), resources=("services/gateway-service",)),
    Rule(groups=("monitoring",), verbs=("get", "list"), api_groups=("",), resources=("pods",), namespace="default"),
    Rule(groups=("system:authenticated",), verbs=("get",), resources=("*/scale",)),
    Rule(users=("other",), verbs=("update",), api_groups=("",), resources=("configmaps",), names=("mine",)),
]
AUTHENTICATION = "/apis/authentication.k8s.io/v1"
AUTHORIZATION = "/apis/authorization.k8s.io/v1"


@pytest.fixture(scope="module")
def cluster():
    with EmbeddedCluster(tokens=TOKENS, rules=RULES) as cluster:
        yield cluster


@pytest.fixture
def as_user(cluster):
    """Return a client that sends a token."""
    with httpx.Client(base_url=cluster.url) as http:

        def send(token, method, path, **more):
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            return http.request(method, path, headers=headers | more.pop("headers", {}), **more)

        yield send


def is_allowed(as_user, attributes, **spec):
    spec = {"user": "prom", "resourceAttributes": attributes} | spec
    response = as_user("prom-token", "POST", f"{AUTHORIZATION}/selfsubjectaccessreviews", json={"spec": spec})
    return response.json()["status"]["allowed"]


def test_clusters_own_clients_may_do_everything(cluster):
    from lightkube.resources.core_v1 import Namespace

    assert cluster.lightkube().get(Namespace, "default").metadata.name == "default"
    assert "token" in cluster.kubeconfig.read_text()


@pytest.mark.parametrize("path", ["/api/v1/namespaces/default/pods", "/version", "/readyz", "/nowhere"])
@pytest.mark.parametrize("token", ["", "unknown"])
def test_request_without_a_known_token_is_unauthorized(as_user, path, token):
    response = as_user(token, "GET", path)

    status = response.json()
    assert (response.status_code, status["reason"], status["message"]) == (401, "Unauthorized", "Unauthorized")


def test_rule_of_a_group_allows_in_its_namespace_only(as_user):
    assert as_user("prom-token", "GET", "/api/v1/namespaces/default/pods").status_code == 200
    assert as_user("prom-token", "GET", "/api/v1/namespaces/kube-system/pods").status_code == 403
    assert as_user("prom-token", "GET", "/api/v1/pods").status_code == 403
    assert as_user("other-token", "GET", "/api/v1/namespaces/default/pods").status_code == 403


@pytest.mark.parametrize(
    ("method", "path", "message", "details"),
    [
        (
            "POST",
            "/api/v1/namespaces/default/pods",
            'pods is forbidden: User "other" cannot create resource "pods" in API group "" in the namespace "default"',
            {"kind": "pods"},
        ),
        (
            "GET",
            "/apis/apps/v1/namespaces/default/deployments/a/status",
            'deployments.apps "a" is forbidden: User "other" cannot get resource "deployments/status" in API group '
            '"apps" in the namespace "default"',
            {"name": "a", "group": "apps", "kind": "deployments"},
        ),
        (
            "GET",
            "/api/v1/nodes",
            'nodes is forbidden: User "other" cannot list resource "nodes" in API group "" at the cluster scope',
            {"kind": "nodes"},
        ),
        (
            "DELETE",
            "/api/v1/namespaces/default",
            'namespaces "default" is forbidden: User "other" cannot delete resource "namespaces" in API group "" in '
            'the namespace "default"',
            {"name": "default", "kind": "namespaces"},
        ),
    ],
)
def test_request_that_no_rule_allows_is_forbidden(as_user, method, path, message, details):
    response = as_user("other-token", method, path, json={})

    status = response.json()
    assert (response.status_code, status["reason"], status["message"]) == (403, "Forbidden", message)
    assert status["details"] == details


def test_rule_for_names_allows_these_objects_only(as_user):
    path = "/api/v1/namespaces/default/configmaps"

    assert as_user("other-token", "PUT", f"{path}/mine", json={"metadata": {"name": "mine"}}).status_code == 404
    assert as_user("other-token", "PUT", f"{path}/yours", json={"metadata": {"name": "yours"}}).status_code == 403


def test_rule_for_a_subresource_does_not_allow_the_resource(as_user):
    assert is_allowed(as_user, {"verb": "create", "resource": "services", "subresource": "gateway-service"})
    assert not is_allowed(as_user, {"verb": "create", "resource": "services"})
    assert is_allowed(as_user, {"verb": "get", "group": "apps", "resource": "deployments", "subresource": "scale"})


def test_discovery_is_open_to_every_user(as_user):
    assert as_user("other-token", "GET", "/apis").status_code == 200


def test_other_paths_are_open_to_masters_only(as_user):
    response = as_user("other-token", "GET", "/metrics")

    assert response.status_code == 403
    assert response.json()["message"] == 'forbidden: User "other" cannot get path "/metrics"'


@pytest.mark.parametrize(("path", "allowed"), [("/version", True), ("/metrics", False)])
def test_access_to_a_path_can_be_reviewed(as_user, path, allowed):
    spec = {"nonResourceAttributes": {"verb": "get", "path": path}}
    response = as_user("other-token", "POST", f"{AUTHORIZATION}/selfsubjectaccessreviews", json={"spec": spec})

    assert response.json()["status"]["allowed"] is allowed


def test_user_can_review_itself(as_user):
    review = as_user("prom-token", "POST", f"{AUTHENTICATION}/selfsubjectreviews", json={}).json()

    assert review["status"]["userInfo"]["username"] == "prom"


def test_known_token_is_reviewed_with_its_user(cluster):
    review = cluster_review(cluster, "tokenreviews", {"token": "prom-token"})

    assert review["status"]["authenticated"] is True
    assert review["status"]["user"] == {
        "username": "prom",
        "uid": "7",
        "groups": ["monitoring", "system:authenticated"],
        "extra": {"scopes": ["read", "write"]},
    }


def test_token_for_another_audience_is_not_authenticated(cluster):
    review = cluster_review(cluster, "tokenreviews", {"token": "prom-token", "audiences": ["elsewhere"]})

    assert review["status"] == {"user": {}, "error": "invalid bearer token"}


def test_subject_access_review_is_answered_by_the_rules(cluster):
    wanted = {"verb": "list", "resource": "pods", "namespace": "default"}

    by_group = cluster_review(
        cluster, "subjectaccessreviews", {"groups": ["monitoring"], "resourceAttributes": wanted}, AUTHORIZATION
    )
    by_name = cluster_review(
        cluster, "subjectaccessreviews", {"user": "somebody", "resourceAttributes": wanted}, AUTHORIZATION
    )

    assert by_group["status"]["allowed"] is True
    assert by_name["status"]["allowed"] is False


def cluster_review(cluster, plural, spec, group=AUTHENTICATION):
    token = cluster.lightkube().config.user.token
    headers = {"Authorization": f"Bearer {token}"}
    response = httpx.post(f"{cluster.url}{group}/{plural}", json={"spec": spec}, headers=headers)
    assert response.status_code == 201
    return response.json()


def test_without_a_table_everything_is_allowed_and_no_token_is_known():
    with EmbeddedCluster() as cluster:
        review = httpx.post(f"{cluster.url}{AUTHENTICATION}/tokenreviews", json={"spec": {"token": "a"}}).json()

    assert review["status"] == {"user": {}, "error": "invalid bearer token"}


def test_rule_without_users_and_groups_is_rejected():
    with pytest.raises(ApiServerError, match="needs users or groups"):
        Rule(verbs=("get",))
