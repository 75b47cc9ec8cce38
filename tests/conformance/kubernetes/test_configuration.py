import pytest
from tests.conformance.kubernetes.kinds import collection


@pytest.fixture
def config_maps(api):
    return collection("v1", "configmaps", api.namespace)


@pytest.fixture
def secrets(api):
    return collection("v1", "secrets", api.namespace)


def object(**fields):
    return {"metadata": {"name": "a"}, **fields}


def causes(response):
    return {cause["field"]: cause["message"] for cause in response.json()["details"]["causes"]}


def test_config_map_keeps_empty_texts_but_no_empty_map(api, config_maps):
    texts = api.post(object(data={"a": "", "b": None}), config_maps).json()
    empty = api.post({"metadata": {"name": "b"}, "data": {}}, config_maps).json()

    assert texts["data"] == {"a": "", "b": ""}
    assert "data" not in empty


def test_keys_have_a_form(api, config_maps, failure):
    response = api.post(object(data={"a b": "1"}), config_maps)

    assert failure(response)[:2] == (422, "Invalid")
    assert causes(response)["data[a b]"].startswith('Invalid value: "a b": a valid config key must consist of')


def test_key_is_either_text_or_binary(api, config_maps):
    response = api.post(object(data={"a": "1"}, binaryData={"a": "eA=="}), config_maps)

    assert causes(response) == {"data[a]": 'Invalid value: "a": duplicate of key present in binaryData'}


@pytest.mark.parametrize(("fixture", "field"), [("config_maps", "binaryData"), ("secrets", "data")])
def test_binary_values_are_base64(api, failure, request, fixture, field):
    response = api.post(object(**{field: {"a": "!!"}}), request.getfixturevalue(fixture))

    assert failure(response)[:2] == (400, "BadRequest")
    assert "illegal base64 data" in response.json()["message"]


def test_config_map_can_not_be_larger_than_a_mebibyte(api, config_maps, failure):
    response = api.post(object(data={"a": "x" * (1024 * 1024 + 1)}), config_maps)

    assert failure(response)[:2] == (422, "Invalid")
    assert "Too long: must have at most 1048576 bytes" in response.json()["message"]


@pytest.mark.parametrize("fixture", ["config_maps", "secrets"])
def test_what_is_immutable_stays(api, request, fixture):
    path = request.getfixturevalue(fixture)
    api.post(object(data={"a": "eA=="}, immutable=True), path)

    data = api.patch("a", {"data": {"a": "eQ=="}}, path=f"{path}/a")
    flag = api.patch("a", {"immutable": False}, path=f"{path}/a")
    label = api.patch("a", {"metadata": {"labels": {"k": "v"}}}, path=f"{path}/a")

    detail = "Forbidden: field is immutable when `immutable` is set"
    assert causes(data) == {"data": detail}
    assert causes(flag) == {"immutable": detail}
    assert label.status_code == 200


def test_texts_of_a_secret_become_data(api, secrets):
    created = api.post(object(data={"a": "eA==", "b": "eA=="}, stringData={"a": "yy"}), secrets).json()
    patched = api.patch("a", {"stringData": {"c": "d"}}, path=f"{secrets}/a").json()

    assert created["data"] == {"a": "eXk=", "b": "eA=="}
    assert created["type"] == "Opaque"
    assert "stringData" not in created
    assert patched["data"] == {"a": "eXk=", "b": "eA==", "c": "ZA=="}


def test_type_of_a_secret_can_not_be_changed(api, secrets):
    api.post(object(type="example.com/x"), secrets)

    response = api.patch("a", {"type": "other"}, path=f"{secrets}/a")

    assert causes(response) == {"type": 'Invalid value: "other": field is immutable'}


@pytest.mark.parametrize(
    ("type", "missing"),
    [
        ("kubernetes.io/tls", {"data[tls.crt]", "data[tls.key]"}),
        ("kubernetes.io/dockerconfigjson", {"data[.dockerconfigjson]"}),
        ("kubernetes.io/service-account-token", {"metadata.annotations[kubernetes.io/service-account.name]"}),
    ],
)
def test_type_of_a_secret_requires_its_keys(api, secrets, failure, type, missing):
    response = api.post(object(type=type), secrets)

    assert failure(response)[:2] == (422, "Invalid")
    assert causes(response).keys() == missing


def test_secrets_can_be_selected_by_type(api, secrets):
    api.post(object(type="example.com/x"), secrets)

    assert api.names(secrets, fieldSelector="type=example.com/x") == ["a"]
    assert api.names(secrets, fieldSelector="type=Opaque") == []


@pytest.mark.parametrize("plural", ["configmaps", "serviceaccounts"])
def test_kind_without_selectable_fields_says_which_there_are(api, failure, plural):
    message = '"type" is not a known field selector: only "metadata.name", "metadata.namespace"'

    response = api.get(collection("v1", plural, api.namespace), fieldSelector="type=x")

    assert failure(response) == (400, "BadRequest", message)
