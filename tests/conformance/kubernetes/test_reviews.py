import pytest

TOKEN_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
AUTHORIZATION = "/apis/authorization.k8s.io/v1"
ACCESS_REVIEWS = f"{AUTHORIZATION}/subjectaccessreviews"
SELF_REVIEWS = f"{AUTHORIZATION}/selfsubjectaccessreviews"
GET_PODS = {"verb": "get", "resource": "pods", "namespace": "default"}
EITHER_OR = "exactly one of nonResourceAttributes or resourceAttributes must be specified"


def test_unknown_token_is_not_authenticated(api):
    response = api.post({"spec": {"token": "nobody-has-this"}}, TOKEN_REVIEWS)

    review = response.json()
    assert response.status_code == 201
    assert (review["kind"], review["spec"]) == ("TokenReview", {"token": "nobody-has-this"})
    assert "authenticated" not in review["status"]
    assert review["status"]["error"].startswith("invalid bearer token")


def test_token_must_be_given(api, failure):
    message = "token is required for TokenReview in authentication"

    assert failure(api.post({"spec": {}}, TOKEN_REVIEWS)) == (400, "BadRequest", message)


def test_spec_of_a_review_must_be_an_object(api, failure):
    code, reason, message = failure(api.post({"spec": 5}, TOKEN_REVIEWS))

    assert (code, reason) == (400, "BadRequest")
    assert message.startswith('TokenReview in version "v1" cannot be handled as a TokenReview: ')


def test_review_keeps_the_metadata_that_was_sent(api):
    review = api.post({"metadata": {"name": "a", "labels": {"k": "v"}}, "spec": {"token": "t"}}, TOKEN_REVIEWS).json()

    assert review["metadata"]["labels"] == {"k": "v"}
    assert review["metadata"]["creationTimestamp"] is None
    assert "uid" not in review["metadata"]


@pytest.mark.parametrize("path", [TOKEN_REVIEWS, ACCESS_REVIEWS, SELF_REVIEWS])
def test_reviews_can_not_be_listed(api, failure, path):
    assert failure(api.get(path))[:2] == (405, "MethodNotAllowed")


def test_subject_access_review_is_answered(api):
    spec = {"user": "u", "groups": ["g"], "uid": "1", "extra": {"k": ["v"]}, "resourceAttributes": GET_PODS}

    response = api.post({"spec": spec}, ACCESS_REVIEWS)

    assert response.status_code == 201
    assert response.json()["spec"] == spec
    assert response.json()["status"] == {"allowed": True}


def test_self_subject_access_review_is_answered(api):
    response = api.post({"spec": {"resourceAttributes": GET_PODS}}, SELF_REVIEWS)

    assert response.status_code == 201
    assert response.json()["status"]["allowed"] is True


@pytest.mark.parametrize("path", [ACCESS_REVIEWS, SELF_REVIEWS])
def test_access_review_must_say_what_it_is_about(api, failure, path):
    response = api.post({"spec": {"user": "u"} if path == ACCESS_REVIEWS else {}}, path)

    assert failure(response)[:2] == (422, "Invalid")
    assert EITHER_OR in response.json()["message"]


def test_access_review_must_say_who_it_is_about(api, failure):
    response = api.post({"spec": {"resourceAttributes": GET_PODS}}, ACCESS_REVIEWS)

    assert failure(response)[:2] == (422, "Invalid")
    assert "at least one of user or group must be specified" in response.json()["message"]


def test_local_access_review_is_about_its_own_namespace(api, failure):
    path = f"{AUTHORIZATION}/namespaces/{api.namespace}/localsubjectaccessreviews"
    here = {"verb": "get", "resource": "pods", "namespace": api.namespace}
    metadata = {"namespace": api.namespace}

    local = api.post({"metadata": metadata, "spec": {"user": "u", "resourceAttributes": here}}, path)
    other = api.post({"metadata": metadata, "spec": {"user": "u", "resourceAttributes": GET_PODS}}, path)

    assert local.json()["status"]["allowed"] is True
    assert failure(other)[:2] == (422, "Invalid")
