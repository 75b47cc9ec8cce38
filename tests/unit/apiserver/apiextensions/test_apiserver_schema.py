import pytest

from signal_gateway.apiserver.apiextensions.schema import SchemaStrategy


def check(schema, value, old=None):
    strategy = SchemaStrategy({"type": "object", "properties": {"spec": schema}})
    causes = strategy.validate({"spec": value}, None if old is None else {"spec": old})
    return [f"{cause.field}: {cause.message}" for cause in causes]


@pytest.mark.parametrize(
    ("schema", "right", "wrong"),
    [
        ({"type": "number", "multipleOf": 0.1}, 0.3, 0.35),
        ({"type": "integer", "maximum": 3, "exclusiveMaximum": True}, 2, 3),
        ({"type": "integer", "minimum": 3, "exclusiveMinimum": True}, 4, 3),
        ({"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "integer"}}, [1, 2], [1, 1]),
        ({"type": "array", "minItems": 1, "items": {"type": "integer"}}, [1], []),
        ({"type": "object", "minProperties": 1, "additionalProperties": {"type": "integer"}}, {"a": 1}, {}),
        ({"type": "object", "maxProperties": 1, "additionalProperties": {"type": "integer"}}, {}, {"a": 1, "b": 2}),
        ({"type": "string", "format": "date"}, "2026-02-28", "2026-02-30"),
        ({"type": "string", "format": "date-time"}, "2026-01-01T00:00:00.5+02:00", "2026-01-01 00:00:00"),
        ({"type": "string", "pattern": "^a$|[$]"}, "a$", "a\n"),
        ({"type": "integer", "anyOf": [{"minimum": 5}, {"maximum": 1}]}, 0, 3),
        ({"type": "integer", "oneOf": [{"minimum": 5}, {"minimum": 7}]}, 6, 8),
        ({"type": "integer", "allOf": [{"minimum": 5}, {"maximum": 7}]}, 6, 8),
        ({"type": "integer", "not": {"minimum": 5}}, 4, 5),
        ({"type": "integer", "enum": [1]}, 1, True),
        ({"type": "string", "nullable": True}, None, 1),
    ],
)
def test_keyword_tells_right_from_wrong(schema, right, wrong):
    assert check(schema, right) == []
    assert check(schema, wrong) != []


def test_immutable_field_may_be_set_but_not_changed():
    rules = [{"rule": "self == oldSelf"}]
    schema = {"type": "object", "properties": {"id": {"type": "string", "x-kubernetes-validations": rules}}}

    assert check(schema, {"id": "a"}, old={}) == []
    assert check(schema, {"id": "a"}, old={"id": "a"}) == []
    assert check(schema, {"id": "b"}, old={"id": "a"}) == [
        'spec.id: Invalid value: "string": failed rule: self == oldSelf'
    ]


def test_unknown_fields_are_named_with_their_path():
    items = {"type": "object", "properties": {"a": {"type": "string"}}}
    strategy = SchemaStrategy({"type": "object", "properties": {"spec": {"type": "array", "items": items}}})
    value = {"spec": [{"a": "x", "b": 1}], "c": 2, "metadata": {"name": "n"}}

    dropped = strategy.prepare(value, None)

    assert sorted(dropped) == ["c", "spec[0].b"]
    assert value == {"spec": [{"a": "x"}], "metadata": {"name": "n"}}


def test_default_reaches_into_lists_and_maps_and_is_never_shared():
    child = {"type": "object", "properties": {"tags": {"type": "array", "default": ["x"]}}}
    spec = {"type": "object", "additionalProperties": {"type": "array", "items": child}}
    strategy = SchemaStrategy({"type": "object", "properties": {"spec": spec}})
    value = {"spec": {"a": [{}, {}]}}

    strategy.prepare(value, None)
    value["spec"]["a"][0]["tags"].append("y")

    assert value["spec"]["a"][1]["tags"] == ["x"]
