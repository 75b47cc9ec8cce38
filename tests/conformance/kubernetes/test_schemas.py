import itertools

import pytest

GROUP = "conformance.example.com"
NUMBERS = itertools.count(1)


@pytest.fixture
def kind(api, make_definition):
    """Define a kind with a schema of its own, and give the path of its objects and a function that makes one."""

    def define(spec, **version):
        plural = f"things{next(NUMBERS)}x{api.namespace.replace('-', '')}"
        singular = plural.capitalize()
        definition = make_definition(plural, singular, spec, **version)
        del definition["spec"]["names"]["shortNames"]  # they would be taken
        api.define(definition)
        path = f"/apis/{GROUP}/v1/namespaces/{api.namespace}/{plural}"

        def make(spec, name="a", **fields):
            body = {"apiVersion": f"{GROUP}/v1", "kind": singular, "metadata": {"name": name}, "spec": spec, **fields}
            return api.post(body, path)

        make.path = path
        return make

    return define


def spec_of(**properties):
    return {"type": "object", "properties": properties}


def causes(response):
    assert response.status_code == 422, response.text
    return [(cause["field"], cause["reason"]) for cause in response.json()["details"]["causes"]]


@pytest.mark.parametrize(
    ("schema", "right", "wrong"),
    [
        ({"type": "string", "maxLength": 3}, "abc", "abcd"),
        ({"type": "string", "minLength": 2}, "ab", "a"),
        ({"type": "string", "pattern": "^a+$"}, "aaa", "ab"),
        ({"type": "string", "enum": ["a", "b"]}, "a", "c"),
        ({"type": "integer", "minimum": 1, "exclusiveMinimum": True}, 2, 1),
        ({"type": "integer", "maximum": 3}, 3, 4),
        ({"type": "number", "multipleOf": 0.5}, 1.5, 1.3),
        ({"type": "integer"}, 3, 3.5),
        ({"type": "boolean"}, True, "true"),
        ({"type": "array", "minItems": 1, "items": {"type": "string"}}, ["a"], []),
        ({"type": "array", "maxItems": 1, "items": {"type": "string"}}, ["a"], ["a", "b"]),
        (
            {"type": "object", "maxProperties": 1, "additionalProperties": {"type": "string"}},
            {"a": "1"},
            {"a": "1", "b": "2"},
        ),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, {"a": 1}, {"a": "x"}),
        ({"x-kubernetes-int-or-string": True}, "50%", 1.5),
        ({"type": "string", "format": "date-time"}, "2026-01-01T00:00:00Z", "yesterday"),
        ({"type": "string", "format": "date"}, "2026-01-01", "2026-13-01"),
        ({"type": "string", "format": "ipv4"}, "10.0.0.1", "10.0.0"),
        ({"type": "string", "format": "uuid"}, "0c5d3d9e-0000-4000-8000-000000000000", "0c5d"),
        ({"type": "string", "format": "byte"}, "aGVsbG8=", "???"),
        ({"type": "string", "format": "unheard-of"}, "anything", None),
        ({"type": "integer", "anyOf": [{"minimum": 5}, {"maximum": 1}]}, 7, 3),
        ({"type": "integer", "allOf": [{"minimum": 5}, {"maximum": 9}]}, 7, 10),
        ({"type": "integer", "not": {"minimum": 5}}, 3, 7),
        ({"type": "integer", "oneOf": [{"minimum": 5}, {"maximum": 6}]}, 9, 5),
    ],
)
def test_keyword_tells_right_from_wrong(kind, schema, right, wrong):
    make = kind(spec_of(value=schema))

    assert make({"value": right}, "right").status_code == 201
    if wrong is not None:
        assert causes(make({"value": wrong}, "wrong"))


def test_set_has_each_item_once(kind):
    make = kind(spec_of(tags={"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}}))

    assert make({"tags": ["a", "b"]}, "right").status_code == 201
    assert causes(make({"tags": ["a", "b", "a"]}, "wrong")) == [("spec.tags[2]", "FieldValueDuplicate")]


def test_map_in_a_list_has_each_key_once(kind):
    item = {
        "type": "object",
        "required": ["name"],
        "properties": {"name": {"type": "string"}, "n": {"type": "integer"}},
    }
    ports = {
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
        "items": item,
    }
    make = kind(spec_of(ports=ports))

    assert make({"ports": [{"name": "a", "n": 1}, {"name": "b", "n": 1}]}, "right").status_code == 201
    assert causes(make({"ports": [{"name": "a"}, {"name": "a", "n": 2}]}, "wrong")) == [
        ("spec.ports[1]", "FieldValueDuplicate")
    ]


def test_nested_defaults_are_filled_in(kind):
    inner = {"type": "object", "default": {}, "properties": {"size": {"type": "integer", "default": 3}}}
    make = kind(spec_of(inner=inner, items={"type": "array", "items": inner}))

    created = make({"items": [{}]}).json()

    assert created["spec"] == {"inner": {"size": 3}, "items": [{"size": 3}]}


def test_what_is_to_be_preserved_is_kept_and_what_is_known_below_it_is_checked(kind):
    free = {
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": True,
        "properties": {"known": {"type": "integer"}},
    }
    make = kind(spec_of(free=free))

    assert make({"free": {"any": {"thing": [1]}, "known": 1}}).json()["spec"]["free"]["any"] == {"thing": [1]}
    assert causes(make({"free": {"known": "x"}}, "wrong")) == [("spec.free.known", "FieldValueInvalid")]


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"type": "object", "properties": {"a": {"description": "no type"}}}, "properties[a].type"),
        (spec_of(a={"type": "array"}), "properties[a].items"),
        (spec_of(a={"type": "text"}), "properties[a].type"),
        (spec_of(a={"type": "array", "uniqueItems": True, "items": {"type": "string"}}), "properties[a].uniqueItems"),
        (spec_of(a={"type": "integer", "default": "x"}), "properties[a].default"),
        (spec_of(a={"type": "object", "properties": {}, "default": {"unknown": 1}}), "properties[a].default"),
        (
            spec_of(a={"type": "array", "x-kubernetes-list-type": "heap", "items": {"type": "string"}}),
            "x-kubernetes-list-type",
        ),
        (
            spec_of(a={"type": "array", "x-kubernetes-list-type": "map", "items": {"type": "object"}}),
            "x-kubernetes-list-map-keys",
        ),
        (
            spec_of(
                a={
                    "type": "object",
                    "properties": {"b": {"type": "string"}},
                    "additionalProperties": {"type": "string"},
                }
            ),
            "additionalProperties",
        ),
    ],
    ids=["type", "items", "unknown type", "unique", "default", "unknown default", "list type", "keys", "both"],
)
def test_schema_that_is_not_structural_is_refused(api, make_definition, failure, spec, field):
    response = api.post(make_definition("wrongs", "Wrong", spec), api.definitions)

    assert failure(response)[:2] == (422, "Invalid")
    assert any(field in cause["field"] for cause in response.json()["details"]["causes"]), response.text


def test_scale_of_a_custom_resource_can_be_read_and_changed(api, kind):
    scale = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}
    schema = spec_of(replicas={"type": "integer"})
    make = kind(schema, subresources={"status": {}, "scale": scale})
    make({"replicas": 2})

    before = api.get(f"{make.path}/a/scale").json()
    after = api.patch("a", {"spec": {"replicas": 5}}, path=f"{make.path}/a/scale").json()

    assert (before["kind"], before["apiVersion"], before["spec"]) == ("Scale", "autoscaling/v1", {"replicas": 2})
    assert after["spec"] == {"replicas": 5}
    assert api.get(f"{make.path}/a").json()["spec"]["replicas"] == 5


@pytest.mark.parametrize(
    ("version", "field"),
    [
        ({"subresources": {"scale": {"specReplicasPath": ".spec.replicas"}}}, "scale.statusReplicasPath"),
        (
            {"subresources": {"scale": {"specReplicasPath": ".a", "statusReplicasPath": ".status.b"}}},
            "scale.specReplicasPath",
        ),
        ({"additionalPrinterColumns": [{"name": "A", "type": "string"}]}, "additionalPrinterColumns[0]"),
        (
            {"additionalPrinterColumns": [{"name": "A", "type": "text", "jsonPath": ".a"}]},
            "additionalPrinterColumns[0].type",
        ),
    ],
    ids=["no status path", "not below spec", "no path", "unknown type"],
)
def test_version_is_validated(api, make_definition, failure, version, field):
    response = api.post(make_definition("wrongs", "Wrong", spec_of(), **version), api.definitions)

    assert failure(response)[:2] == (422, "Invalid")
    assert any(field in cause["field"] for cause in response.json()["details"]["causes"]), response.text


def test_printer_columns_are_kept(api, make_definition):
    column = {"name": "Size", "type": "integer", "jsonPath": ".spec.size"}
    plural = f"columns{api.namespace.replace('-', '')}"

    definition = make_definition(plural, plural.capitalize(), spec_of(), additionalPrinterColumns=[column])
    del definition["spec"]["names"]["shortNames"]

    assert api.define(definition)["spec"]["versions"][0]["additionalPrinterColumns"] == [column]


@pytest.mark.feature("selectable fields")
@pytest.mark.parametrize(
    "path", [".metadata.name", ".spec.unknown", ".spec.inner"], ids=["metadata", "unknown", "an object"]
)
def test_only_simple_fields_can_be_selectable(api, make_definition, failure, path):
    spec = spec_of(color={"type": "string"}, inner={"type": "object"})

    response = api.post(
        make_definition("wrongs", "Wrong", spec, selectableFields=[{"jsonPath": path}]), api.definitions
    )

    assert failure(response)[:2] == (422, "Invalid")


@pytest.mark.feature("cel")
@pytest.mark.parametrize(
    ("rule", "right", "wrong"),
    [
        ({"rule": "self.least <= self.most"}, {"least": 1, "most": 2}, {"least": 3, "most": 2}),
        ({"rule": "!has(self.least) || self.least > 0"}, {}, {"least": 0}),
        ({"rule": "self.tags.all(tag, tag.startsWith('a'))"}, {"tags": ["ab"]}, {"tags": ["ab", "b"]}),
        ({"rule": "size(self.tags) < 2"}, {"tags": ["a"]}, {"tags": ["a", "b"]}),
        ({"rule": "self.name.matches('^[a-z]+$')"}, {"name": "abc"}, {"name": "a1"}),
        ({"rule": "self.name in ['a', 'b']"}, {"name": "a"}, {"name": "c"}),
        (
            {"rule": "self.tags.exists(tag, tag == self.name)"},
            {"tags": ["a"], "name": "a"},
            {"tags": ["a"], "name": "b"},
        ),
    ],
)
def test_rule_tells_right_from_wrong(kind, rule, right, wrong):
    spec = spec_of(
        least={"type": "integer"},
        most={"type": "integer"},
        name={"type": "string", "maxLength": 20},
        tags={"type": "array", "maxItems": 5, "items": {"type": "string", "maxLength": 20}},
    )
    make = kind(spec | {"x-kubernetes-validations": [rule | {"message": "is wrong"}]})

    assert make(right, "right").status_code == 201
    response = make(wrong, "wrong")
    assert causes(response) == [("spec", "FieldValueInvalid")]
    assert 'spec: Invalid value: "object": is wrong' in response.json()["message"]


@pytest.mark.feature("cel")
def test_rule_about_a_change_holds_for_changes_only(api, kind):
    grows = {"type": "integer", "x-kubernetes-validations": [{"rule": "self >= oldSelf"}]}
    make = kind(spec_of(size=grows))
    make({"size": 3})

    grown = api.patch("a", {"spec": {"size": 4}}, path=f"{make.path}/a")
    shrunk = api.patch("a", {"spec": {"size": 2}}, path=f"{make.path}/a")

    assert grown.status_code == 200
    assert causes(shrunk) == [("spec.size", "FieldValueInvalid")]
    assert 'Invalid value: "integer": failed rule: self >= oldSelf' in shrunk.json()["message"]


@pytest.mark.feature("cel")
def test_rule_says_why_where_and_how(kind):
    rule = {
        "rule": "self.size < 10",
        "messageExpression": "'size is ' + string(self.size)",
        "reason": "FieldValueForbidden",
        "fieldPath": ".size",
    }
    make = kind(spec_of(size={"type": "integer"}) | {"x-kubernetes-validations": [rule]})

    response = make({"size": 12})

    assert causes(response) == [("spec.size", "FieldValueForbidden")]
    assert "spec.size: Forbidden: size is 12" in response.json()["message"]


@pytest.mark.feature("cel")
def test_rule_without_a_value_is_broken(kind):
    make = kind(spec_of(size={"type": "integer"}) | {"x-kubernetes-validations": [{"rule": "self.size > 1"}]})

    response = make({})

    assert causes(response) == [("spec", "FieldValueInvalid")]
    assert "no such key: size" in response.json()["message"]


@pytest.mark.feature("cel")
@pytest.mark.parametrize("rule", ["self.size >", "unknown > 1", ""], ids=["half", "unknown name", "empty"])
def test_rule_that_does_not_compile_is_refused(api, make_definition, failure, rule):
    spec = spec_of(size={"type": "integer"}) | {"x-kubernetes-validations": [{"rule": rule}]}

    response = api.post(make_definition("wrongs", "Wrong", spec), api.definitions)

    assert failure(response)[:2] == (422, "Invalid")
    assert "x-kubernetes-validations[0].rule" in response.json()["details"]["causes"][0]["field"]


@pytest.mark.feature("cel")
def test_items_of_a_map_in_a_list_know_what_they_were(api, kind):
    item = {
        "type": "object",
        "required": ["name"],
        "properties": {"name": {"type": "string"}, "n": {"type": "integer"}},
        "x-kubernetes-validations": [{"rule": "self.n >= oldSelf.n"}],
    }
    ports = {
        "type": "array",
        "maxItems": 5,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
        "items": item,
    }
    make = kind(spec_of(ports=ports))
    make({"ports": [{"name": "a", "n": 2}, {"name": "b", "n": 5}]})

    moved = api.patch("a", {"spec": {"ports": [{"name": "b", "n": 5}, {"name": "a", "n": 2}]}}, path=f"{make.path}/a")
    shrunk = api.patch("a", {"spec": {"ports": [{"name": "b", "n": 4}]}}, path=f"{make.path}/a")

    assert moved.status_code == 200
    assert causes(shrunk) == [("spec.ports[0]", "FieldValueInvalid")]
