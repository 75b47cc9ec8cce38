import json

import httpx2
import pytest
from lightkube import ApiError, AsyncClient, KubeConfig
from lightkube.config.models import Cluster, User
from lightkube.resources.core_v1 import Pod
from tests.unit.kubernetes.recording_observer import RecordingObserver

from signal_gateway.errors import SignalGatewayError
from signal_gateway.kubernetes import (
    AlreadyExists,
    ApiUnavailable,
    Conflict,
    Forbidden,
    KubernetesClient,
    KubernetesError,
    KubernetesSetupError,
    NotFound,
    RequestRejected,
    classify,
)
from signal_gateway.web.serving.sockets import bind, url_of


def status_object(code, reason, **more):
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, **more}


def status_response(code, reason, headers=None, **more):
    return httpx2.Response(code, json=status_object(code, reason, **more), headers=headers)


async def failure_of(client_of, handler):
    """Return what a call raises, and the code that the observer was told."""
    observer = RecordingObserver()
    observed = observer.calls
    async with client_of(transport=httpx2.MockTransport(handler)) as client:
        with pytest.raises(KubernetesError) as caught:
            await client.get_namespace("prod", observer=observer)
    assert len(observed) == 1
    verb, resource, code = observed[0]
    assert (verb, resource) == ("get", "namespaces") == (caught.value.verb, caught.value.resource)
    return caught.value, code


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("code", "reason", "kind", "is_transient"),
    [
        (400, "BadRequest", RequestRejected, False),
        (401, "Unauthorized", Forbidden, False),
        (403, "Forbidden", Forbidden, False),
        (404, "NotFound", NotFound, False),
        (405, "MethodNotAllowed", RequestRejected, False),
        (408, "Timeout", ApiUnavailable, True),
        (409, "AlreadyExists", AlreadyExists, False),
        (409, "Conflict", Conflict, False),
        (410, "Expired", RequestRejected, False),
        (413, "RequestEntityTooLarge", RequestRejected, False),
        (415, "UnsupportedMediaType", RequestRejected, False),
        (422, "Invalid", RequestRejected, False),
        (429, "TooManyRequests", ApiUnavailable, True),
        (500, "InternalError", ApiUnavailable, True),
        (503, "ServiceUnavailable", ApiUnavailable, True),
        (504, "Timeout", ApiUnavailable, True),
    ],
)
async def test_status_object_is_classified_by_its_code_and_reason(client_of, code, reason, kind, is_transient):
    error, observed = await failure_of(client_of, lambda _: status_response(code, reason, message="so it is"))

    assert type(error) is kind
    assert (error.status, error.reason, error.is_transient) == (code, reason, is_transient)
    assert observed == str(code)
    assert "so it is" in str(error)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("response", "kind", "status"),
    [
        (httpx2.Response(502, text="<h1>Bad Gateway</h1>", headers={"Content-Type": "text/html"}), ApiUnavailable, 502),
        (httpx2.Response(404, text="404 page not found\n"), NotFound, 404),
        (httpx2.Response(302, headers={"Location": "/login", "Content-Type": "text/html"}), ApiUnavailable, 302),
        (httpx2.Response(503), ApiUnavailable, 503),
        (httpx2.Response(404), NotFound, 404),
        (
            httpx2.Response(
                403,
                content=json.dumps(status_object(403, "Forbidden")),
                headers={"Content-Type": "application/json; charset=utf-8"},
            ),
            Forbidden,
            403,
        ),
        (
            httpx2.Response(409, content=b'{"kind": "Stat', headers={"Content-Type": "application/json"}),
            Conflict,
            409,
        ),
        (
            httpx2.Response(500, content=b"\xff\xfe\xfd", headers={"Content-Type": "application/json"}),
            ApiUnavailable,
            500,
        ),
        (httpx2.Response(500, json=["no", "status"]), ApiUnavailable, 500),
        (httpx2.Response(422, json={"code": 200}), RequestRejected, 422),
    ],
    ids=[
        "text 502",
        "text 404",
        "redirect",
        "no content type, 503",
        "no content type, 404",
        "charset parameter",
        "JSON cut short",
        "not UTF-8",
        "JSON that is no Status",
        "Status that says otherwise",
    ],
)
async def test_error_that_is_no_proper_status_is_classified_by_its_status_line(client_of, response, kind, status):
    error, observed = await failure_of(client_of, lambda _: response)

    assert type(error) is kind
    assert error.status == status
    assert observed == str(status)


@pytest.mark.asyncio
@pytest.mark.parametrize("content", [b'{"metadata": {"na', b"<html>sign in</html>", b"", b"null", b"5", b'"text"'])
async def test_success_that_cannot_be_understood_is_transient(client_of, content):
    response = httpx2.Response(200, content=content, headers={"Content-Type": "application/json"})

    error, observed = await failure_of(client_of, lambda _: response)

    assert type(error) is ApiUnavailable
    assert error.status is None
    assert observed == "error"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "failure",
    [httpx2.ConnectTimeout, httpx2.ReadTimeout, httpx2.PoolTimeout, httpx2.ReadError, httpx2.RemoteProtocolError],
)
async def test_transport_error_is_transient(client_of, failure):
    def fail(request):
        raise failure("it broke", request=request)

    error, observed = await failure_of(client_of, fail)

    assert type(error) is ApiUnavailable
    assert (error.status, error.reason, error.retry_after) == (None, None, None)
    assert observed == "error"
    assert failure.__name__ in str(error)


@pytest.mark.asyncio
async def test_refused_connection_is_transient(client_of):
    with bind() as listening:
        url = url_of(listening)

    async with client_of(url) as client:
        with pytest.raises(ApiUnavailable, match="ConnectError"):
            await client.ping()


@pytest.mark.asyncio
async def test_wait_that_the_api_asks_for_is_kept(client_of):
    in_header, _ = await failure_of(
        client_of, lambda _: status_response(429, "TooManyRequests", headers={"Retry-After": "7"})
    )
    in_status, _ = await failure_of(
        client_of, lambda _: status_response(500, "ServerTimeout", details={"retryAfterSeconds": 3})
    )
    as_date, _ = await failure_of(
        client_of, lambda _: httpx2.Response(503, headers={"Retry-After": "Fri, 31 Jan 2026 12:00:00 GMT"})
    )

    assert (in_header.retry_after, in_status.retry_after, as_date.retry_after) == (7.0, 3.0, None)


@pytest.mark.asyncio
@pytest.mark.parametrize(("code", "kind"), [(410, RequestRejected), (500, ApiUnavailable), (None, ApiUnavailable)])
async def test_error_event_of_a_watch_is_classified_without_a_response(code, kind):
    event = {"type": "ERROR", "object": status_object(code, "Expired", message="too old resource version")}
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, content=json.dumps(event) + "\n"))
    config = KubeConfig.from_one(cluster=Cluster(insecure=True), user=User())
    client = AsyncClient(config, trust_env=False, transport=transport)
    with pytest.raises(ApiError) as caught:
        async for _ in client.watch(Pod, namespace="prod"):
            pass
    await client.close()
    assert caught.value.response is None

    error = classify(caught.value, "watch", "pods")

    assert type(error) is kind
    assert (error.status, error.reason) == (code, "Expired")


@pytest.mark.asyncio
async def test_token_file_that_is_gone_is_a_matter_of_set_up(tmp_path):
    config = KubeConfig.from_one(
        cluster=Cluster(server="http://kubernetes.example"), user=User(token_file=str(tmp_path / "token"))
    )
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, json={}))

    async with KubernetesClient(config, transport=transport) as client:
        with pytest.raises(KubernetesSetupError, match="token") as caught:
            await client.get_namespace("prod")

    assert not caught.value.is_transient


def test_every_error_is_caught_by_the_packages_root():
    for kind in (AlreadyExists, Conflict, Forbidden, KubernetesSetupError, NotFound, RequestRejected, ApiUnavailable):
        assert issubclass(kind, KubernetesError)
    assert issubclass(KubernetesError, SignalGatewayError)
