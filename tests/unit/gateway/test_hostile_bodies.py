"""Bodies and senders made to hurt: each gets an answer that says why in few words, and the gateway goes on."""

import json
import socket
from contextlib import contextmanager
from http.client import HTTPResponse

import pytest

from signal_gateway.kubernetes.resources import RemediationRequest
from signal_gateway.testing import alert, alertmanager_webhook
from signal_gateway.web.problem import PROBLEM_JSON

WEBHOOK = "/api/v1/signals/prometheus"
EVENT = "/api/v1/signals/kubernetes-event"
JSON = {"Content-Type": "application/json"}
MEGABYTE = 1024 * 1024

MANY = 3000


@pytest.fixture
def gateway(gateway_factory):
    return gateway_factory()


def remediation_requests(gateway):
    cluster = gateway.cluster
    return list(cluster.lightkube().list(RemediationRequest, namespace=cluster.namespace))


def is_unharmed(gateway):
    """Whether it handles the next signal, and nothing of what came before is in flight."""
    answer = gateway.send_alert("AfterIt", namespace="prod", deployment="after-it")
    gateway.settle()
    return answer.status_code in (201, 202) and gateway.client.get("/readyz").status_code == 200


def problem(response, status):
    """Insist on a problem of few words that tells nothing of our inside."""
    body = response.json()
    assert (response.status_code, response.headers["content-type"]) == (status, PROBLEM_JSON), body
    assert body["request_id"] == response.headers["x-request-id"]
    assert len(response.content) < 1000
    assert not {"Traceback", "Exception", "Error(", ".py"} & set(response.text.split())
    return body


def webhook(*alerts):
    return alertmanager_webhook(*alerts or [alert("X", namespace="prod", deployment="api")])


def raw_webhook(*alerts):
    return {"version": "4", "alerts": alerts}


@contextmanager
def connection(gateway):
    host, port = gateway.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as sock:
        yield sock


def head(*lines, path=WEBHOOK, content_type="application/json"):
    return "\r\n".join(
        [f"POST {path} HTTP/1.1", "Host: x", f"Content-Type: {content_type}", *lines, "", ""],
    ).encode()


def answer_on(sock):
    response = HTTPResponse(sock, method="POST")
    response.begin()
    return response, json.loads(response.read())


def raw_problem(sock, status):
    response, body = answer_on(sock)
    assert (response.status, response.headers["content-type"]) == (status, PROBLEM_JSON), body
    assert body["request_id"] == response.headers["x-request-id"]
    return body


def is_closed(sock):
    return sock.recv(1) == b""


@pytest.fixture
def wait_for_body():
    """Send a head, and return when the gateway waits for the body."""

    def begin(sock, **arguments):
        sock.sendall(head("Content-Length: 1000", "Expect: 100-continue", **arguments))
        assert b"100 Continue" in sock.recv(1000)

    return begin


@pytest.mark.parametrize("path", [WEBHOOK, EVENT])
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"[" * 100_000 + b"]" * 100_000, id="nested arrays"),
        pytest.param(b'{"alerts":' * 100_000 + b"1" + b"}" * 100_000, id="nested objects"),
        pytest.param(b"[" * 200_000, id="arrays that do not end"),
        pytest.param(b"9" * 4_000_000, id="a number of many digits"),
        pytest.param(b'{"version": 1e999}', id="a number beyond all"),
        pytest.param(b'{"a":1,' * 3 + b"}" * 3, id="broken"),
        pytest.param(b'{"version": "\\ud800"}', id="half a character"),
        pytest.param(b'{"version": "\xff"}', id="no UTF-8"),
        pytest.param(b'{"version": "4", "alerts": [{"labels": {"a": "\xe4"}}]}', id="latin-1"),
        pytest.param(json.dumps({"version": "4"}).encode("utf-16"), id="UTF-16"),
        pytest.param(json.dumps({"version": "4"}).encode("utf-32-be"), id="UTF-32"),
        pytest.param(b"\xef\xbb\xbf{}", id="byte order mark"),
        pytest.param(b'{"version": NaN}', id="not a number"),
        pytest.param(b'{"version": "4"}{"version": "4"}', id="two documents"),
        pytest.param(b'{"version": "\0"}', id="a NUL"),
        pytest.param(b"\0" * 1000, id="NULs"),
        pytest.param(b"\x1f\x8b\x08\x00" + b"\0" * 100, id="gzip"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[null]", id="an array of null"),
        pytest.param(b'{"version": "4", "alerts": {}, "involvedObject": []}', id="wrong shapes"),
        pytest.param(b'{"version": ' + b"[1]," * 10 + b"}", id="trailing comma"),
    ],
)
def test_body_that_is_no_payload_is_a_400_in_few_words(gateway, path, body):
    problem(gateway.client.post(path, content=body, headers=JSON), 400)

    assert is_unharmed(gateway)


@pytest.mark.parametrize("path", [WEBHOOK, EVENT])
@pytest.mark.parametrize("item", [b"[", b"1,", b"{},", b'{"a":1},'])
def test_body_of_too_many_values_is_a_413(gateway, path, item):
    body = b"[" + item * 300_000 + b"1]"

    detail = problem(gateway.client.post(path, content=body, headers=JSON), 413)["detail"]

    assert detail.endswith("the limit is 262144.")
    assert is_unharmed(gateway)


def test_webhook_of_too_many_alerts_is_a_413(gateway):
    detail = problem(gateway.client.post(WEBHOOK, json=raw_webhook(*[{}] * 16_385)), 413)["detail"]

    assert detail == "Too many signals in one request: 16385, the limit is 16384."
    assert is_unharmed(gateway)


@pytest.mark.parametrize("path", [WEBHOOK, EVENT])
@pytest.mark.parametrize("value", ["x" * 500_000, ["x"] * 20_000, {"x": ["y"] * 20_000}, 10**300, True])
def test_wrong_value_is_not_quoted_at_length(gateway, path, value):
    payload = {"version": value, "involvedObject": {"kind": value, "name": value}, "type": value, "reason": value}

    answer = gateway.client.post(path, json=payload)

    is_event_with_texts = path == EVENT and isinstance(value, str)
    assert answer.status_code == (200 if is_event_with_texts else 400)
    assert len(answer.content) < 2000


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param({"deep": json.loads("[" * 20 + "]" * 20)}, id="deep"),
        pytest.param({"deep": json.loads('{"a":' * 500 + "1" + "}" * 500)}, id="deeper"),
        pytest.param({"annotations": {"summary": "a\0b"}}, id="a NUL"),
        pytest.param({"a\0b": 1}, id="a NUL in a key"),
        pytest.param({"labels": []}, id="labels that are a list"),
        pytest.param({"labels": {"alertname": 1}}, id="a label that is a number"),
        pytest.param({"startsAt": "9999-12-31T23:59:59-14:00"}, id="after the last day"),
        pytest.param({"startsAt": "0000-01-01T00:00:00Z"}, id="before the first day"),
        pytest.param({"startsAt": "x" * MEGABYTE}, id="a time of a megabyte"),
        pytest.param({"status": ["firing"] * 10_000}, id="a status that is a list"),
    ],
)
def test_alert_that_cannot_be_handled_does_not_take_the_others_with_it(gateway, odd):
    good = alert("Good", namespace="prod", deployment="good")

    answer = gateway.client.post(WEBHOOK, json=raw_webhook({**alert("Odd", namespace="prod", pod="odd"), **odd}, good))

    assert answer.status_code == 207
    not_handled, created = (result["status"] for result in answer.json()["results"])
    is_well_formed = not {"labels", "startsAt", "status"} & odd.keys()
    assert not_handled == ("rejected" if is_well_formed else "invalid")
    assert created == "created"
    assert len(answer.content) < 2000
    assert is_unharmed(gateway)


@pytest.mark.parametrize("number", ["1" + "0" * 30, "-" + "9" * 300, "0." + "1" * 5000, "1e-999", "-0.0", str(2**64)])
def test_alert_with_a_number_beyond_its_kind_is_handled(gateway, number):
    body = json.dumps(webhook()).replace('"status"', f'"number": {number}, "status"', 2)

    assert gateway.client.post(WEBHOOK, content=body, headers=JSON).status_code == 201


@pytest.mark.parametrize("number", ["1" + "0" * 5000, "1e999", "-1e999"])
def test_number_that_cannot_be_kept_is_a_400(gateway, number):
    body = json.dumps(webhook()).replace('"status"', f'"number": {number}, "status"', 2)

    problem(gateway.client.post(WEBHOOK, content=body, headers=JSON), 400)


def test_last_of_several_members_of_a_name_counts(gateway):
    text = json.dumps(webhook())
    body = text.replace('"deployment": "api"', '"deployment": "first", "deployment": "last"')

    assert gateway.client.post(WEBHOOK, content=body, headers=JSON).status_code == 201
    [created] = remediation_requests(gateway)
    assert created.spec["targetResource"]["name"] == "last"


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "multipart/form-data; boundary=x", "application/jsonp", "json", "a" * 10_000]
)
def test_wrong_content_type_is_a_415(gateway, content_type):
    answer = gateway.client.post(WEBHOOK, content=b"{}", headers={"Content-Type": content_type})

    assert len(problem(answer, 415)["detail"]) < 300
    assert is_unharmed(gateway)


@pytest.mark.parametrize("length", ["abc", "-1", "1e3", "+5", "0x10", "1, 2", "99999999999999999999999999"])
def test_length_that_is_no_number_is_a_400_and_the_end_of_the_connection(gateway, length):
    with connection(gateway) as sock:
        sock.sendall(head(f"Content-Length: {length}"))

        raw_problem(sock, 400)
        assert is_closed(sock)

    assert is_unharmed(gateway)


@pytest.mark.parametrize("end", [b"0\r\n\r\n", b"0\r\nX-Trailer: value\r\n\r\n"])
@pytest.mark.parametrize("size", [1, 7, 4096])
def test_chunked_body_is_taken_however_it_is_cut(gateway, size, end):
    body = json.dumps(webhook()).encode()
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    with connection(gateway) as sock:
        sock.sendall(head("Transfer-Encoding: chunked"))
        sock.sendall(b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + end)

        assert answer_on(sock)[0].status == 201


@pytest.mark.gateway(processing={"max_concurrent_requests": 1})
@pytest.mark.parametrize("sent", [b"", b'{"version": "4", "alerts": ['])
def test_sender_that_leaves_in_the_midst_of_a_body_leaves_nothing_behind(gateway, wait_for_body, sent):
    with connection(gateway) as sock:
        wait_for_body(sock)
        sock.sendall(sent)

    gateway.settle()
    assert remediation_requests(gateway) == []
    assert is_unharmed(gateway)


@pytest.mark.gateway(processing={"request_deadline": 0.2, "max_concurrent_requests": 1})
@pytest.mark.parametrize("content_type", ["application/json", "text/plain"])
def test_sender_that_is_too_slow_is_sent_away_and_its_room_is_free(gateway, wait_for_body, content_type):
    with connection(gateway) as sock:
        wait_for_body(sock, content_type=content_type)
        sock.sendall(b"{")

        assert raw_problem(sock, 504)["detail"] == "The body took longer than 0.2 s."
        assert is_closed(sock)

    assert is_unharmed(gateway)


@pytest.mark.gateway(processing={"request_deadline": 60, "max_concurrent_requests": 1})
def test_sender_that_is_refused_and_goes_on_sending_takes_no_room(gateway, wait_for_body):
    with connection(gateway) as sock:
        wait_for_body(sock, content_type="text/plain")

        assert gateway.send_alert("X", namespace="prod", deployment="api").status_code == 201

        sock.sendall(b"x" * 1000)
        raw_problem(sock, 415)


@pytest.mark.parametrize("announced", [True, False])
def test_large_body_is_a_413_that_its_sender_sees(gateway, announced):
    body = b"x" * (10 * MEGABYTE)
    with connection(gateway) as sock:
        if announced:
            sock.sendall(head(f"Content-Length: {len(body)}") + body)
        else:
            sock.sendall(head("Transfer-Encoding: chunked") + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))

        assert "4194304 bytes" in raw_problem(sock, 413)["detail"]
        assert is_closed(sock)

    assert is_unharmed(gateway)


def test_large_bodies_in_a_row_of_a_client_with_a_pool(gateway):
    for _ in range(5):
        problem(gateway.client.post(WEBHOOK, content=b"x" * (10 * MEGABYTE), headers=JSON), 413)

    assert is_unharmed(gateway)


def test_flood_of_headers_is_a_431(gateway):
    with connection(gateway) as sock:
        sock.sendall(head(*(f"X-Header-{n}: {'v' * 100}" for n in range(1000))))

        raw_problem(sock, 431)

    assert is_unharmed(gateway)


def test_requests_in_one_go_are_answered_in_their_order(gateway):
    bodies = [json.dumps(webhook(alert("X", namespace="prod", deployment=f"d-{n}"))).encode() for n in range(30)]
    with connection(gateway) as sock:
        sock.sendall(b"".join(head(f"Content-Length: {len(body)}") + body for body in bodies))

        received = b""
        while received.count(b"HTTP/1.1 201 Created") < 30 or not received.endswith(b"}"):
            received += sock.recv(65536)

    fingerprints = [part.partition(b'"')[0].decode() for part in received.split(b'"fingerprint":"')[1:]]
    by_name = {
        request.spec["targetResource"]["name"]: request.spec["signalFingerprint"]
        for request in remediation_requests(gateway)
    }
    assert fingerprints == [by_name[f"d-{n}"] for n in range(30)]


@pytest.mark.parametrize("count", [3000, 30_000])
def test_thousands_of_labels_are_kept_or_cut(gateway, count):
    labels = {f"label_{n}": "v" * 20 for n in range(count)}

    answer = gateway.client.post(WEBHOOK, json=webhook(alert("X", namespace="prod", deployment="api", **labels)))

    assert answer.status_code == 201
    [created] = remediation_requests(gateway)
    assert len(json.dumps(created.to_dict())) < MEGABYTE
    assert is_unharmed(gateway)


@pytest.mark.parametrize("text", ["v" * MEGABYTE, '"' * MEGABYTE, "\N{SNOWMAN}" * (MEGABYTE // 3), "\x01" * 500_000])
def test_label_of_a_megabyte_is_cut(gateway, text):
    answer = gateway.client.post(WEBHOOK, json=raw_webhook(alert("X", namespace="prod", deployment="api", long=text)))

    assert answer.status_code == 201
    name = answer.json()["remediationRequestName"]
    assert gateway.audit_trail.one("gateway.crd.created", correlation_id=name).event_data["truncated"] is True
    assert is_unharmed(gateway)


@pytest.mark.gateway(processing={"request_deadline": 120})
@pytest.mark.slow
def test_thousands_of_alerts_of_one_webhook_are_all_answered_in_order(gateway):
    alerts = [
        alert(f"A{n}", namespace="prod", **({"deployment": f"d-{n % 20}"} if n % 10 else {"job": "no target"}))
        for n in range(MANY)
    ]
    body = json.dumps(webhook(*alerts), separators=(",", ":")).encode()
    assert len(body) < 4 * MEGABYTE

    answer = gateway.client.post(WEBHOOK, content=body, headers=JSON, timeout=150)

    results = answer.json()["results"]
    assert answer.status_code == 207
    assert [result["status"] == "rejected" for result in results] == [n % 10 == 0 for n in range(MANY)]
    assert answer.json()["summary"] == {
        "total": MANY,
        "created": 18,
        "deduplicated": MANY * 9 // 10 - 18,
        "rejected": MANY // 10,
        "resolved": 0,
        "failed": 0,
    }
    assert is_unharmed(gateway)
