import pytest


def test_created_object_has_the_servers_metadata(api):
    created = api.create("a", metadata={"labels": {"k": "v"}, "annotations": {"n": "1"}})

    metadata = created["metadata"]
    assert metadata["namespace"] == api.namespace
    assert metadata["generation"] == 1
    assert metadata["labels"] == {"k": "v"}
    assert len(metadata["uid"]) == 36
    assert metadata["resourceVersion"].isdecimal()
    assert metadata["creationTimestamp"].endswith("Z")
    assert api.read("a") == created


def test_what_only_the_server_sets_is_ignored(api):
    sent = {"uid": "mine", "generation": 9, "creationTimestamp": "2020-01-01T00:00:00Z", "selfLink": "/x"}

    metadata = api.create("a", metadata=sent)["metadata"]

    assert metadata["uid"] != "mine"
    assert metadata["generation"] == 1
    assert not metadata["creationTimestamp"].startswith("2020")
    assert "selfLink" not in metadata


def test_name_that_is_taken_is_refused(api, failure):
    api.create("a")

    response = api.post(api.widget("a"))

    assert failure(response) == (409, "AlreadyExists", 'widgets.conformance.example.com "a" already exists')
    assert response.json()["details"] == {"name": "a", "group": "conformance.example.com", "kind": "widgets"}


def test_same_name_in_another_namespace_is_another_object(api):
    api.create("a")
    api.post({"metadata": {"name": f"{api.namespace}-b"}}, api.namespaces)
    elsewhere = api.collection.replace(api.namespace, f"{api.namespace}-b")

    response = api.post(api.widget("a"), elsewhere)

    assert response.status_code == 201


def test_generated_name_extends_the_prefix(api):
    created = api.post(api.widget(metadata={"name": "", "generateName": "gen-"})).json()

    assert created["metadata"]["generateName"] == "gen-"
    assert created["metadata"]["name"].startswith("gen-")
    assert len(created["metadata"]["name"]) == len("gen-") + 5


def test_missing_name_is_invalid(api, failure):
    code, reason, message = failure(api.post(api.widget("")))

    assert (code, reason) == (422, "Invalid")
    assert message.endswith("metadata.name: Required value: name or generateName is required")


@pytest.mark.parametrize("name", ["Upper", "under_score", "-dash", "dot.", "x" * 254])
def test_name_that_is_no_subdomain_is_invalid(api, failure, name):
    response = api.post(api.widget(name))

    assert failure(response)[:2] == (422, "Invalid")
    cause = response.json()["details"]["causes"][0]
    assert (cause["reason"], cause["field"]) == ("FieldValueInvalid", "metadata.name")


@pytest.mark.parametrize("labels", [{"a b": "x"}, {"k": "a b"}, {"k": "v" * 64}, {"/k": "v"}, {"a/b/c": "v"}])
def test_malformed_labels_are_invalid(api, failure, labels):
    response = api.post(api.widget(metadata={"labels": labels}))

    assert failure(response)[:2] == (422, "Invalid")
    assert response.json()["details"]["causes"][0]["field"] == "metadata.labels"


def test_label_that_is_no_string_is_a_bad_request(api, failure):
    assert failure(api.post(api.widget(metadata={"labels": {"k": 1}})))[:2] == (400, "BadRequest")


def test_namespace_in_the_body_must_match_the_path(api, failure):
    message = "the namespace of the provided object does not match the namespace sent on the request"

    assert failure(api.post(api.widget(metadata={"namespace": "other"}))) == (400, "BadRequest", message)


def test_namespace_must_exist(api, failure):
    path = api.collection.replace(api.namespace, "nowhere")

    response = api.post(api.widget(), path)

    assert failure(response) == (404, "NotFound", 'namespaces "nowhere" not found')
    assert response.json()["details"] == {"name": "nowhere", "kind": "namespaces"}


def test_resource_version_on_a_create_is_refused(api, failure):
    response = api.post(api.widget(metadata={"resourceVersion": "5"}))

    assert failure(response) == (500, None, "resourceVersion should not be set on objects to be created")


def test_status_is_dropped(api):
    assert "status" not in api.create("a", status={"phase": "Done"})


def test_unknown_fields_are_pruned(api):
    spec = {"size": 1, "color": "red", "bogus": 1, "free": {"kept": {"deep": 1}}, "inner": {"name": "x", "bogus": 1}}

    created = api.create("a", spec=spec, bogus=1)

    assert created["spec"]["free"] == {"kept": {"deep": 1}}
    assert created["spec"]["inner"] == {"name": "x", "count": 7}
    assert "bogus" not in created["spec"]
    assert "bogus" not in created


def test_defaults_are_filled_in(api):
    created = api.create("a", spec={"size": 1, "color": "red", "mode": None, "inner": {"name": "x"}})

    assert created["spec"]["mode"] == "auto"
    assert created["spec"]["inner"]["count"] == 7


def test_null_is_kept_only_where_the_field_is_nullable(api):
    created = api.create("a", spec={"size": 1, "color": "red", "note": None, "ratio": None})

    assert created["spec"]["note"] is None
    assert "ratio" not in created["spec"]


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        ({"size": 0}, "spec.size", "Invalid value: 0: spec.size in body should be greater than or equal to 1"),
        ({"size": 11}, "spec.size", "Invalid value: 11: spec.size in body should be less than or equal to 10"),
        ({"size": "1"}, "spec.size", 'Invalid value: "string": spec.size in body must be of type integer: "string"'),
        ({"color": "blue"}, "spec.color", 'Unsupported value: "blue": supported values: "red", "green"'),
        ({"code": "AB"}, "spec.code", "Invalid value: \"AB\": spec.code in body should match '^[a-z]+$'"),
        ({"code": "a"}, "spec.code", 'Invalid value: "a": spec.code in body should be at least 2 chars long'),
        ({"code": "abcdef"}, "spec.code", 'Invalid value: "abcdef": spec.code in body should be at most 5 chars long'),
        (
            {"since": "noon"},
            "spec.since",
            'Invalid value: "noon": spec.since in body must be of type date-time: "noon"',
        ),
        ({"tags": ["a", "b", "c"]}, "spec.tags", "Invalid value: 3: spec.tags in body should have at most 2 items"),
        (
            {"enabled": 1},
            "spec.enabled",
            'Invalid value: "integer": spec.enabled in body must be of type boolean: "integer"',
        ),
        (
            {"port": True},
            "spec.port",
            'Invalid value: "boolean": spec.port in body must be of type integer,string: "boolean"',
        ),
        (
            {"names": {"a": 1}},
            "spec.names.a",
            'Invalid value: "integer": spec.names.a in body must be of type string: "integer"',
        ),
        ({"inner": {}}, "spec.inner.name", "Required value"),
    ],
)
def test_value_that_breaks_the_schema_is_named_with_its_cause(api, failure, change, field, message):
    response = api.post(api.widget(spec={"size": 1, "color": "red"} | change))

    assert failure(response) == (
        422,
        "Invalid",
        f'Widget.conformance.example.com "a" is invalid: {field}: {message}',
    )
    details = response.json()["details"]
    assert (details["name"], details["group"], details["kind"]) == ("a", "conformance.example.com", "Widget")
    assert [(cause["field"], cause["message"]) for cause in details["causes"]] == [(field, message)]


def test_item_of_a_list_is_validated(api, failure):
    response = api.post(api.widget(spec={"size": 1, "color": "red", "tags": ["a", 1]}))

    assert failure(response)[:2] == (422, "Invalid")
    assert response.json()["details"]["causes"][0]["field"] in ("spec.tags[1]", "spec.tags")  # the old form: 1.20


def test_every_cause_is_listed(api, failure):
    response = api.post(api.widget(spec={"code": "A"}))

    assert failure(response)[:2] == (422, "Invalid")
    fields = {cause["field"] for cause in response.json()["details"]["causes"]}
    assert fields == {"spec.size", "spec.color", "spec.code"}


def test_pattern_ends_at_the_very_end(api, failure):
    assert failure(api.post(api.widget(spec={"size": 1, "color": "red", "code": "abc\n"})))[:2] == (422, "Invalid")


def test_number_without_a_fraction_is_an_integer(api):
    assert api.create("a", spec={"size": 2.0, "color": "red", "port": "http"})["spec"]["size"] == 2


@pytest.mark.parametrize("body", ["{bad", "[]", ""])
def test_body_that_is_no_object_is_a_bad_request(api, failure, body):
    response = api.http.post(api.collection, content=body, headers={"content-type": "application/json"})

    assert failure(response)[:2] == (400, "BadRequest")


def test_body_of_another_kind_or_version_is_refused(api, failure):
    kind = api.post(api.widget() | {"kind": "Other"})
    version = api.post(api.widget() | {"apiVersion": "conformance.example.com/v2"})

    assert failure(kind) == (
        422,
        "Invalid",
        'Other.conformance.example.com "a" is invalid: kind: Invalid value: "Other": must be Widget',
    )
    assert failure(version) == (
        400,
        "BadRequest",
        "the API version in the data (conformance.example.com/v2) does not match the expected API version "
        "(conformance.example.com/v1)",
    )


def test_body_of_another_content_type_is_refused(api, failure):
    response = api.http.post(api.collection, content="{}", headers={"content-type": "text/plain"})

    assert failure(response)[:2] == (415, "UnsupportedMediaType")


def test_dry_run_creates_nothing(api):
    response = api.post(api.widget("a"), dryRun="All")

    assert response.status_code == 201
    assert response.json()["metadata"]["uid"]
    assert api.get(api.path("a")).status_code == 404


@pytest.mark.feature("field validation")
def test_strict_field_validation_refuses_unknown_fields(api, failure):
    body = api.widget(spec={"size": 1, "color": "red", "bogus": 1})

    code, reason, message = failure(api.post(body, fieldValidation="Strict"))

    assert (code, reason) == (400, "BadRequest")
    assert 'strict decoding error: unknown field "spec.bogus"' in message
