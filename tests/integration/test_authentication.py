"""Who may send signals: a live gateway asks a file of tokens, or the cluster."""

import logging

import pytest

from signal_gateway.apiserver import Rule, User
from signal_gateway.clock import MovableClock
from signal_gateway.errors import ConfigurationError
from signal_gateway.gateway.http.authentication import TokenAuthenticator
from signal_gateway.gateway.http.token_review import KubernetesAuthenticator
from signal_gateway.kubernetes.resources import RemediationRequest
from signal_gateway.testing import EmbeddedCluster, alert, alertmanager_webhook

PATH = "/api/v1/signals/prometheus"
TOKEN = "a-token-that-nobody-guesses-0123456789"
STRANGER = "another-token-0123456789-abcdefghij"
ALERTMANAGER = "system:serviceaccount:monitoring:alertmanager"
SENDERS = Rule(users=(ALERTMANAGER,), verbs=("create",), resources=("services",), names=("gateway-service",))


def post(gateway, token=None, **headers):
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    webhook = alertmanager_webhook(alert("X", namespace="prod", deployment="api"))
    return gateway.client.post(PATH, json=webhook, headers=headers)


@pytest.fixture
def token_file(tmp_path):
    path = tmp_path / "tokens"
    path.write_text(f"# senders\n{TOKEN} alertmanager of the north\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def guarded(gateway_factory, token_file):
    return gateway_factory(authenticator=TokenAuthenticator(token_file))


@pytest.fixture
def tokens():
    return {TOKEN: User(ALERTMANAGER, uid="u-1", groups=("system:serviceaccounts",)), STRANGER: User("somebody")}


@pytest.fixture
def cluster(tokens):
    with EmbeddedCluster(tokens=tokens, rules=[SENDERS]) as cluster:
        yield cluster


@pytest.fixture
def asking(gateway_factory, cluster, clock):
    authenticator = KubernetesAuthenticator(cluster.client(), namespace=cluster.namespace, clock=clock)
    return gateway_factory(cluster=cluster, authenticator=authenticator, clock=clock)


@pytest.fixture
def clock():
    return MovableClock()


@pytest.mark.parametrize("kind", ["guarded", "asking"])
def test_good_token_lets_signals_in_and_names_the_actor(request, kind):
    gateway = request.getfixturevalue(kind)

    answer = post(gateway, TOKEN)

    assert answer.status_code == 201
    event = gateway.audit_trail.one("gateway.crd.created", correlation_id=answer.json()["remediationRequestName"])
    expected = {"guarded": "alertmanager of the north", "asking": ALERTMANAGER}[kind]
    assert (event.actor_type, event.actor_id) == ("user", expected)


@pytest.mark.parametrize("kind", ["guarded", "asking"])
@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ({}, None),
        ({"Authorization": "Bearer nobodys-token-0123456789"}, "invalid_token"),
        ({"Authorization": "Bearer"}, "invalid_token"),
        ({"Authorization": TOKEN}, "invalid_token"),
        ({"Authorization": "Basic dXNlcjpwYXNzd29yZA=="}, None),
    ],
)
def test_without_a_good_token_it_is_401_with_a_challenge(request, kind, headers, error):
    gateway = request.getfixturevalue(kind)

    answer = post(gateway, **headers)

    assert answer.status_code == 401
    challenge = 'Bearer realm="signal-gateway"' + (f', error="{error}"' if error else "")
    assert answer.headers["WWW-Authenticate"] == challenge
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"]
    assert list(gateway.cluster.lightkube().list(RemediationRequest, namespace=gateway.cluster.namespace)) == []


def test_owner_of_a_token_without_the_right_is_403(asking):
    answer = post(asking, STRANGER)

    assert answer.status_code == 403
    assert asking.metrics.value("gateway_authentication_failures_total", reason="not_allowed") == 1


def test_health_and_metrics_need_no_token(guarded):
    assert [guarded.client.get(path).status_code for path in ("/healthz", "/readyz", "/metrics")] == [200] * 3


def test_body_limit_comes_before_the_token_and_the_token_before_the_content_type(gateway_factory, token_file):
    gateway = gateway_factory(authenticator=TokenAuthenticator(token_file), processing={"max_body_bytes": 1000})
    plain = {"Content-Type": "text/plain"}

    assert gateway.client.post(PATH, content=b"x" * 1001, headers=plain).status_code == 413
    assert gateway.client.post(PATH, content=b"x", headers=plain).status_code == 401
    assert (
        gateway.client.post(PATH, content=b"x", headers=plain | {"Authorization": f"Bearer {TOKEN}"}).status_code == 415
    )


def test_cluster_that_cannot_be_asked_is_no_reason_to_refuse_anybody_for_good(asking):
    with asking.cluster.faults.fail(verb="create", resource="tokenreviews", status=500):
        answer = post(asking, TOKEN)
    again = post(asking, TOKEN)

    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
    assert "WWW-Authenticate" not in answer.headers
    assert again.status_code == 201


def test_cluster_is_asked_once_a_minute_about_a_good_token(asking, clock):
    def asked():
        return [len(asking.cluster.log.select(resource=name)) for name in ("tokenreviews", "subjectaccessreviews")]

    first = [post(asking, TOKEN).status_code for _ in range(3)]
    asked_first = asked()
    clock.advance(60)

    assert [*first, post(asking, TOKEN).status_code] == [201, 202, 202, 202]
    assert (asked_first, asked()) == ([1, 1], [2, 2])


def test_token_that_is_taken_out_of_the_file_is_not_good_any_more(guarded, token_file):
    before = post(guarded, TOKEN).status_code
    new = token_file.with_name("new")
    new.write_text(f"{STRANGER} another\n")
    new.chmod(0o600)
    new.replace(token_file)

    assert [before, post(guarded, TOKEN).status_code, post(guarded, STRANGER).status_code] == [201, 401, 202]


def test_token_is_in_no_log_answer_or_event(asking, caplog):
    caplog.set_level(logging.DEBUG)
    with asking.cluster.faults.fail(verb="create", resource="tokenreviews", status=500, times=1):
        refused = post(asking, TOKEN)
    created = post(asking, TOKEN)

    events = asking.audit_trail.events(correlation_id=created.json()["remediationRequestName"])
    assert events
    shown = "\n".join([caplog.text, refused.text, created.text, *(repr(event) for event in events)])
    assert TOKEN not in shown


def test_nobody_is_asked_unless_it_is_wanted(gateway):
    assert post(gateway).status_code == 201


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("short name", "shorter than 16"),
        ("has$a-strange-character name", "a character that a bearer token can't have"),
        ("", "has no token; write lines of the form: TOKEN NAME"),
        (f"{TOKEN} a\n{TOKEN} b", "line 2: its token is that of line 1"),
    ],
)
def test_file_of_tokens_that_cannot_be_used_is_refused_without_showing_any(tmp_path, line, complaint):
    path = tmp_path / "tokens"
    path.write_text(line)

    with pytest.raises(ConfigurationError) as refused:
        TokenAuthenticator(path)

    assert str(path) in str(refused.value)
    assert complaint in str(refused.value)
    assert TOKEN not in str(refused.value)
