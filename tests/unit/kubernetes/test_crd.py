import copy

import pytest

from signal_gateway.kubernetes import (
    GROUP,
    KIND,
    PLURAL,
    TERMINAL_PHASES,
    VERSION,
    RequestRejected,
    crd_manifest,
    crd_path,
)

REQUIRED = (
    "signalFingerprint",
    "signalName",
    "severity",
    "signalType",
    "targetType",
    "targetResource",
    "firingTime",
    "receivedTime",
)


def version_of(manifest):
    (version,) = manifest["spec"]["versions"]
    return version


def test_manifest_is_the_resource_that_the_client_calls():
    manifest = crd_manifest()

    assert crd_path().is_file()
    assert manifest["metadata"]["name"] == f"{PLURAL}.{GROUP}"
    assert manifest["spec"]["group"] == GROUP
    assert manifest["spec"]["names"]["kind"] == KIND
    assert manifest["spec"]["names"]["shortNames"] == ["rr"]
    assert version_of(manifest)["name"] == VERSION
    assert version_of(manifest)["subresources"] == {"status": {}}


def test_phases_of_the_manifest_have_the_terminal_ones():
    schema = version_of(crd_manifest())["schema"]["openAPIV3Schema"]

    phases = schema["properties"]["status"]["properties"]["overallPhase"]["enum"]

    assert set(phases) > TERMINAL_PHASES
    assert len(phases) == 12


def test_spec_is_immutable_and_selectable():
    version = version_of(crd_manifest())

    rules = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["x-kubernetes-validations"]

    assert [rule["rule"] for rule in rules] == ["self == oldSelf"]
    assert [field["jsonPath"] for field in version["selectableFields"]] == [
        ".spec.signalFingerprint",
        ".spec.severity",
        ".spec.signalType",
        ".spec.clusterID",
    ]


def test_each_manifest_is_the_callers_own():
    crd_manifest()["spec"].clear()

    assert crd_manifest()["spec"]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "change",
    [
        *({field: None} for field in REQUIRED),
        {"signalFingerprint": "A" * 64},
        {"signalFingerprint": "a" * 63},
        {"signalName": "n" * 254},
        {"severity": ""},
        {"severity": "s" * 51},
        {"signalSource": "s" * 64},
        {"targetType": "moon"},
        {"targetResource": {"kind": "Pod"}},
        {"targetResource": {"name": "api"}},
        {"clusterID": "c" * 254},
        {"signalLabels": {"count": 1}},
        {"firingTime": "yesterday"},
    ],
    ids=str,
)
async def test_spec_that_breaks_a_rule_is_refused(api_server, client_of, manifest, change):
    bad = copy.deepcopy(manifest)
    bad["spec"] = {field: value for field, value in (manifest["spec"] | change).items() if value is not None}

    async with client_of(api_server.url) as client:
        with pytest.raises(RequestRejected) as caught:
            await client.create_remediation_request(bad)

    assert caught.value.status == 422
    assert next(iter(change)) in str(caught.value)


@pytest.mark.asyncio
async def test_controllers_may_write_more_into_the_status(api_server, client_of, manifest):
    status = {
        "overallPhase": "Completed",
        "notes": ["looked at"],
        "completionStatus": {"outcome": "Remediated", "by": "somebody"},
        "routingStatus": {"nextAllowedExecution": "2026-02-01T00:00:00Z", "why": "cooldown"},
    }

    async with client_of(api_server.url) as client:
        created = await client.create_remediation_request(manifest)
        patched = await client.patch_remediation_request_status(
            created["metadata"]["namespace"], created["metadata"]["name"], {"status": status}
        )

    assert patched["status"] == status
