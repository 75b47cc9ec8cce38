"""Answer reviews: questions about tokens and rights."""

from signal_gateway.apiserver.apimachinery.objects import JsonObject, encode
from signal_gateway.apiserver.apimachinery.resources import Resource
from signal_gateway.apiserver.apimachinery.status import Cause, StatusError, bad_request, invalid, not_implemented
from signal_gateway.apiserver.auth.access import ALL_AUTHENTICATED, API_AUDIENCE, Access, RequestAttributes, User
from signal_gateway.apiserver.discovery.discovery import is_discovery_path
from signal_gateway.apiserver.handlers.decoding import decode_object, shape_object
from signal_gateway.apiserver.handlers.request_info import RequestInfo

__all__ = ["handle_review"]

_ACCESS_REVIEWS = ("SubjectAccessReview", "LocalSubjectAccessReview", "SelfSubjectAccessReview")


def handle_review(access: Access, user: User, resource: Resource, request: RequestInfo, body: bytes) -> bytes:
    """Return a review with its status.

    Args:
        access: The tokens and rules.
        user: Who asks.
        resource: One of the kinds of reviews.
        request: The request.
        body: The review as sent.

    Raises:
        StatusError: 400 or 422 if the review asks nothing that can be answered, 501 for a review of rules.
    """
    review = decode_object(resource, request, body)
    shape_object(resource, request, review, None)
    spec: JsonObject = review.get("spec", {})
    if resource.kind == "TokenReview":
        status = _review_token(access, spec)
    elif resource.kind == "SelfSubjectReview":
        status = {"userInfo": _shown(user)}
    elif resource.kind in _ACCESS_REVIEWS:
        if resource.kind == "LocalSubjectAccessReview":
            _check_namespace(review, request.namespace)
        status = {"allowed": _review_access(access, user if resource.kind.startswith("Self") else None, spec)}
    else:
        raise not_implemented(f"{resource.plural}; ask with a SelfSubjectAccessReview for each right")
    metadata = review["metadata"] | {"creationTimestamp": None}
    return encode(review | {"metadata": metadata, "spec": spec, "status": status})


def _review_token(access: Access, spec: JsonObject) -> JsonObject:
    if not spec.get("token"):
        raise bad_request("token is required for TokenReview in authentication")
    user = access.find(spec["token"])
    wanted = spec.get("audiences") or [API_AUDIENCE]
    audiences = [audience for audience in wanted if user is not None and audience in user.audiences]
    if user is None or not audiences:
        return {"user": {}, "error": "invalid bearer token"}
    return {"authenticated": True, "user": _shown(user), "audiences": audiences}


def _shown(user: User) -> JsonObject:
    shown = {
        "username": user.name,
        "uid": user.uid,
        "groups": list(user.groups),
        "extra": {key: list(values) for key, values in user.extra.items()},
    }
    return {key: value for key, value in shown.items() if value}


def _review_access(access: Access, asker: User | None, spec: JsonObject) -> bool:
    """Return whether the asker, or else the user that the review names, may do what it says."""
    wanted: JsonObject | None = spec.get("resourceAttributes")
    path: JsonObject | None = spec.get("nonResourceAttributes")
    if wanted is not None and path is not None:
        detail = "cannot be specified in combination with resourceAttributes"
        raise _invalid(Cause.invalid("spec.nonResourceAttributes", path, detail))
    if wanted is None and path is None:
        detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        raise _invalid(Cause.invalid("spec.resourceAttributes", "null", detail))
    name, groups = (asker.name, asker.groups) if asker is not None else (spec.get("user", ""), spec.get("groups", ()))
    if not name and not groups:
        raise _invalid(Cause.invalid("spec.user", "", "at least one of user or group must be specified"))
    if path is not None:
        is_open = path.get("verb") in ("get", "head") and is_discovery_path(path.get("path", ""))
        return (is_open and ALL_AUTHENTICATED in groups) or access.allows_path(groups)
    wanted = wanted or {}
    attempt = RequestAttributes(
        verb=wanted.get("verb", ""),
        api_group=wanted.get("group", ""),
        resource=wanted.get("resource", ""),
        subresource=wanted.get("subresource", ""),
        namespace=wanted.get("namespace", ""),
        name=wanted.get("name", ""),
    )
    return access.allows(name, groups, attempt)


def _check_namespace(review: JsonObject, namespace: str) -> None:
    asked = review.get("spec", {}).get("resourceAttributes", {}).get("namespace", "")
    if not asked:
        raise bad_request(f"spec.resourceAttributes.namespace must match namespace: {namespace}")
    if asked != namespace:
        raise _invalid(Cause.invalid("spec.resourceAttributes.namespace", asked, "must match metadata.namespace"))


def _invalid(cause: Cause) -> StatusError:
    return invalid("authorization.k8s.io", "", "", [cause])
