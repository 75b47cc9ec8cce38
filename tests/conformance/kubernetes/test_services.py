import ipaddress

import pytest
from tests.conformance.kubernetes.kinds import collection


@pytest.fixture
def services(api):
    return collection("v1", "services", api.namespace)


def service(name="a", **spec):
    return {"metadata": {"name": name}, "spec": {"selector": {"app": "a"}, "ports": [{"port": 80}], **spec}}


def causes(response):
    return {cause["field"]: cause["message"] for cause in response.json()["details"]["causes"]}


def test_service_gets_an_address_and_its_defaults(api, services):
    created = api.post(service(), services).json()

    spec = created["spec"]
    assert ipaddress.ip_address(spec["clusterIP"]).is_private
    assert spec["clusterIPs"] == [spec["clusterIP"]]
    assert (spec["type"], spec["sessionAffinity"]) == ("ClusterIP", "None")
    assert spec["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": 80}]
    assert created["status"] == {"loadBalancer": {}}


def test_headless_service_has_no_address_and_needs_no_port(api, services):
    created = api.post({"metadata": {"name": "a"}, "spec": {"clusterIP": "None"}}, services).json()

    assert (created["spec"]["clusterIP"], created["spec"]["clusterIPs"]) == ("None", ["None"])


@pytest.mark.parametrize("type", ["NodePort", "LoadBalancer"])
def test_service_for_outside_gets_node_ports(api, services, type):
    ports = [{"name": "a", "port": 80}, {"name": "b", "port": 81, "targetPort": "web"}]

    spec = api.post(service(type=type, ports=ports), services).json()["spec"]

    assert all(30000 <= port["nodePort"] < 32768 for port in spec["ports"])
    assert spec["ports"][0]["nodePort"] != spec["ports"][1]["nodePort"]
    assert spec["externalTrafficPolicy"] == "Cluster"


def test_external_name_has_no_address(api, services):
    spec = {"type": "ExternalName", "externalName": "a.example.com"}

    created = api.post({"metadata": {"name": "a"}, "spec": spec}, services).json()

    assert "clusterIP" not in created["spec"]


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ({"ports": []}, {"spec.ports": "Required value"}),
        (
            {"ports": [{"port": 80}, {"port": 81}]},
            {"spec.ports[0].name": "Required value", "spec.ports[1].name": "Required value"},
        ),
        (
            {"ports": [{"port": 80, "protocol": "X"}]},
            {"spec.ports[0].protocol": 'Unsupported value: "X": supported values: "SCTP", "TCP", "UDP"'},
        ),
        (
            {"ports": [{"port": 70000, "targetPort": 80}]},
            {"spec.ports[0].port": "Invalid value: 70000: must be between 1 and 65535, inclusive"},
        ),
        ({"type": "ExternalName", "ports": []}, {"spec.externalName": "Required value"}),
    ],
)
def test_invalid_service_is_refused_with_its_causes(api, services, failure, spec, found):
    response = api.post(service(**spec), services)

    assert failure(response)[:2] == (422, "Invalid")
    assert causes(response) == found


@pytest.mark.parametrize("name", ["1a", "a.b", "A"])
def test_name_of_a_service_is_a_dns_1035_label(api, services, failure, name):
    response = api.post(service(name), services)

    assert failure(response)[:2] == (422, "Invalid")
    assert "a DNS-1035 label must consist of" in causes(response)["metadata.name"]


def test_address_of_a_service_stays(api, services, failure):
    address = api.post(service(), services).json()["spec"]["clusterIP"]

    ports = api.patch("a", {"spec": {"ports": [{"port": 90}]}}, path=f"{services}/a")
    moved = api.patch("a", {"spec": {"clusterIP": "10.0.0.250"}}, path=f"{services}/a")

    assert ports.json()["spec"]["clusterIP"] == address
    assert failure(moved)[:2] == (422, "Invalid")
    assert causes(moved)["spec.clusterIPs[0]"].endswith("may not change once set")


def test_services_are_deleted_as_a_collection_where_discovery_says_so(api, services):
    verbs = {resource["name"]: resource["verbs"] for resource in api.get("/api/v1").json()["resources"]}["services"]

    assert ("deletecollection" in verbs) is (api.http.delete(services).status_code == 200)


def test_endpoints_have_addresses_and_ports(api, failure):
    path = collection("v1", "endpoints", api.namespace)
    wrong = {"metadata": {"name": "a"}, "subsets": [{"addresses": [{"ip": "x"}], "ports": [{"port": 0}]}]}
    right = {"metadata": {"name": "a"}, "subsets": [{"addresses": [{"ip": "10.1.1.1"}], "ports": [{"port": 80}]}]}

    refused = api.post(wrong, path)
    created = api.post(right, path)

    assert failure(refused)[:2] == (422, "Invalid")
    assert {"subsets[0].addresses[0].ip", "subsets[0].ports[0].port"} <= causes(refused).keys()
    assert created.json()["subsets"][0]["ports"] == [{"port": 80, "protocol": "TCP"}]


@pytest.mark.parametrize(("spec", "types"), [({}, ["Ingress"]), ({"egress": [{}]}, ["Ingress", "Egress"])])
def test_network_policy_says_what_it_is_about(api, spec, types):
    path = collection("networking.k8s.io/v1", "networkpolicies", api.namespace)

    created = api.post({"metadata": {"name": "a"}, "spec": {"podSelector": {}, **spec}}, path).json()

    assert created["spec"]["policyTypes"] == types


def test_ingress_needs_rules_or_a_backend(api, failure):
    path = collection("networking.k8s.io/v1", "ingresses", api.namespace)
    backend = {"service": {"name": "s"}}
    rule = {"http": {"paths": [{"path": "/", "pathType": "Nearly", "backend": backend}]}}

    empty = api.post({"metadata": {"name": "a"}}, path)
    wrong = api.post({"metadata": {"name": "a"}, "spec": {"rules": [rule]}}, path)

    assert "either `defaultBackend` or `rules` must be specified" in failure(empty)[2]
    place = "spec.rules[0].http.paths[0]"
    types = '"Exact", "ImplementationSpecific", "Prefix"'
    assert causes(wrong) == {
        f"{place}.pathType": f'Unsupported value: "Nearly": supported values: {types}',
        f"{place}.backend": "Required value: port name or number is required",
    }
