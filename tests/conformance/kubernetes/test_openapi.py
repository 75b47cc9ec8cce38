import pytest
from tests.conformance.kubernetes.kinds import NAMESPACED

pytestmark = pytest.mark.feature("openapi v3")

GROUP = "conformance.example.com"


def document(api, group_version):
    path = f"apis/{group_version}" if "/" in group_version else f"api/{group_version}"
    address = api.get("/openapi/v3").json()["paths"][path]["serverRelativeURL"]
    return api.get(address).json()


def schema_of(openapi, group, version, kind):
    wanted = {"group": group, "version": version, "kind": kind}
    schemas = openapi["components"]["schemas"].values()
    return next(schema for schema in schemas if wanted in schema.get("x-kubernetes-group-version-kind", ()))


def test_index_has_a_document_for_every_group_and_version(api):
    paths = api.get("/openapi/v3").json()["paths"]

    assert {"api/v1", "apis/apps/v1", "apis/apiextensions.k8s.io/v1", f"apis/{GROUP}/v1"} <= paths.keys()
    assert paths["apis/apps/v1"]["serverRelativeURL"].startswith("/openapi/v3/apis/apps/v1?hash=")


@pytest.mark.parametrize("row", NAMESPACED, ids=[f"{row[0]}-{row[1]}" for row in NAMESPACED])
def test_kind_is_described_with_its_operations(api, row):
    group_version, plural, kind, _ = row
    group, _, version = group_version.rpartition("/")

    openapi = document(api, group_version)

    root = f"/apis/{group_version}" if group else f"/api/{group_version}"
    operations = openapi["paths"][f"{root}/namespaces/{{namespace}}/{plural}/{{name}}"]
    assert operations["patch"]["x-kubernetes-group-version-kind"] == {
        "group": group,
        "version": version,
        "kind": kind,
    }
    names = {parameter["name"] for parameter in operations["patch"]["parameters"]}
    assert {"dryRun", "fieldManager", "fieldValidation"} <= names
    assert "metadata" in schema_of(openapi, group, version, kind)["properties"]


@pytest.mark.parametrize("group_version", ["v1", *sorted({row[0] for row in NAMESPACED} - {"v1"}), f"{GROUP}/v1"])
def test_every_reference_leads_to_a_schema(api, group_version):
    def references(value):
        if isinstance(value, dict):
            yield from [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            for item in value.values():
                yield from references(item)
        elif isinstance(value, list):
            for item in value:
                yield from references(item)

    openapi = document(api, group_version)

    found = {reference.removeprefix("#/components/schemas/") for reference in references(openapi)}
    assert found <= openapi["components"]["schemas"].keys()


def test_custom_resource_is_described_by_its_schema(api):
    widget = schema_of(document(api, f"{GROUP}/v1"), GROUP, "v1", "Widget")

    assert widget["properties"]["spec"]["properties"]["size"]["maximum"] == 10
    assert widget["properties"]["kind"]["type"] == "string"


def test_address_changes_with_what_is_described(api, make_definition):
    group = f"{api.namespace}.example.com"
    api.define(make_definition("things", "Thing", {"type": "object"}, group=group))
    before = document_address(api, group)
    changed = {
        "versions": [make_definition("things", "Thing", {"type": "object", "description": "x"})["spec"]["versions"][0]]
    }

    api.patch("", {"spec": changed}, path=f"{api.definitions}/things.{group}")

    assert document_address(api, group) != before


def document_address(api, group):
    return api.get("/openapi/v3").json()["paths"][f"apis/{group}/v1"]["serverRelativeURL"]


def test_description_of_nothing_is_not_found(api):
    assert api.get("/openapi/v3/apis/nobody.example.com/v1").status_code == 404
