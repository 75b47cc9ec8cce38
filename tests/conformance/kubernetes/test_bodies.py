import pytest

YAML = """
apiVersion: conformance.example.com/v1
kind: Widget
metadata:
  name: a
  annotations: {when: "2026-01-01"}
spec:
  size: 3
  color: red
"""


def send(api, content, content_type="application/json", **query):
    headers = {"content-type": content_type}
    return api.http.post(api.collection, content=content, headers=headers, params=query)


def test_yaml_is_read_as_json_is(api):
    response = send(api, YAML, "application/yaml")

    assert response.status_code == 201, response.text
    assert response.json()["spec"]["size"] == 3
    assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize("content", ["{half: [", "- just\n- a list", "a: 1\n---\nb: 2\n"])
def test_yaml_that_is_no_object_is_a_bad_request(api, failure, content):
    assert failure(send(api, content, "application/yaml"))[:2] == (400, "BadRequest")


@pytest.mark.feature("field validation")
@pytest.mark.parametrize("level", ["Warn", None])
def test_unknown_and_duplicate_fields_are_warned_of(api, level):
    body = (
        '{"apiVersion":"conformance.example.com/v1","kind":"Widget","metadata":{"name":"a"},'
        '"spec":{"size":1,"size":2,"color":"red","other":1}}'
    )

    response = send(api, body, **({"fieldValidation": level} if level else {}))

    assert response.status_code == 201
    assert response.json()["spec"]["size"] == 2
    assert sorted(response.headers.get_list("warning")) == [
        '299 - "duplicate field \\"spec.size\\""',
        '299 - "unknown field \\"spec.other\\""',
    ]


@pytest.mark.feature("field validation")
def test_fields_are_ignored_where_it_is_asked_for(api):
    response = api.post(api.widget("a", spec={"size": 1, "color": "red", "other": 1}), fieldValidation="Ignore")

    assert response.status_code == 201
    assert "warning" not in response.headers


@pytest.mark.feature("field validation")
def test_duplicate_field_is_refused_where_it_is_to_be_strict(api, failure):
    body = '{"apiVersion":"conformance.example.com/v1","kind":"Widget","metadata":{"name":"a","name":"a"},"spec":{}}'

    code, reason, message = failure(send(api, body, fieldValidation="Strict"))

    assert (code, reason) == (400, "BadRequest")
    assert 'duplicate field "metadata.name"' in message


@pytest.mark.feature("field validation")
def test_unknown_level_is_invalid(api, failure):
    code, reason, message = failure(api.post(api.widget("a"), fieldValidation="Harsh"))

    assert (code, reason) == (422, "Invalid")
    assert 'Unsupported value: "Harsh"' in message


@pytest.mark.feature("field validation")
def test_patch_is_warned_of_unknown_fields(api):
    api.create("a")

    response = api.patch("a", {"spec": {"other": 1}})

    assert response.headers.get_list("warning") == ['299 - "unknown field \\"spec.other\\""']


@pytest.mark.parametrize("verb", ["put", "patch", "delete"])
def test_dry_run_changes_nothing(api, verb):
    widget = api.create("a")
    changed = widget | {"spec": widget["spec"] | {"size": 9}}
    query = {"dryRun": "All"}

    match verb:
        case "put":
            response = api.http.put(api.path("a"), json=changed, params=query)
        case "patch":
            headers = {"content-type": "application/merge-patch+json"}
            content = '{"spec":{"size":9}}'
            response = api.http.patch(api.path("a"), content=content, headers=headers, params=query)
        case _:
            response = api.http.request("DELETE", api.path("a"), params=query)

    assert response.status_code == 200
    if verb != "delete":
        assert response.json()["spec"]["size"] == 9
    assert api.read("a") == widget


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"\xff\xfe",
        b'{"a": NaN}',
        b"",
        b"null",
        b'"text"',
        b"[" * 90_000,
        b'{"a":' * 90_000,
    ],
    ids=["half", "no utf-8", "NaN", "nothing", "null", "text", "deep list", "deep object"],
)
def test_hostile_body_is_a_bad_request(api, failure, content):
    code, _, _ = failure(send(api, content))

    assert 400 <= code < 500
