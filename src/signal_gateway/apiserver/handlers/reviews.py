"""Token and access reviews, from the tables of tokens and rules."""

from signal_gateway.apiserver.apimachinery.objects import JsonObject, encode
from signal_gateway.apiserver.apimachinery.resources import Resource
from signal_gateway.apiserver.apimachinery.status import Cause, StatusError, bad_request, invalid, not_implemented
from signal_gateway.apiserver.auth.authentication import ALL_AUTHENTICATED, API_AUDIENCE, TokenTable, User
from signal_gateway.apiserver.auth.authorization import RequestAttributes, RuleTable
from signal_gateway.apiserver.discovery.discovery import is_discovery_path
from signal_gateway.apiserver.handlers.decoding import decode_object, shape_object
from signal_gateway.apiserver.handlers.request_info import RequestInfo

__all__ = ["handle_review"]

_ACCESS_REVIEWS = ("SubjectAccessReview", "LocalSubjectAccessReview", "SelfSubjectAccessReview")


def handle_review(
    tokens: TokenTable, rules: RuleTable, user: User, resource: Resource, request: RequestInfo, body: bytes
) -> bytes:
    """Return a review with its status.

    Args:
        tokens: The table of tokens.
        rules: The table of rules.
        user: The user of the request.
        resource: One of the review kinds.
        request: The request.
        body: The review without its status.

    Raises:
        StatusError: 400 or 422 if the review is incomplete or contradictory, 501 for a SelfSubjectRulesReview.
    """
    review = decode_object(resource, request, body)
    shape_object(resource, request, review, None)
    spec: JsonObject = review.get("spec", {})
    if resource.kind == "TokenReview":
        status = _review_token(tokens, spec)
    elif resource.kind == "SelfSubjectReview":
        status = {"userInfo": _shown(user)}
    elif resource.kind in _ACCESS_REVIEWS:
        if resource.kind == "LocalSubjectAccessReview":
            _check_namespace(review, request.namespace)
        reviewed = user if resource.kind.startswith("Self") else None
        status = {"allowed": _review_access(rules, reviewed, spec)}
    else:
        raise not_implemented(f"{resource.plural}; send a SelfSubjectAccessReview for each permission")
    metadata = review["metadata"] | {"creationTimestamp": None}
    return encode(review | {"metadata": metadata, "spec": spec, "status": status})


def _review_token(tokens: TokenTable, spec: JsonObject) -> JsonObject:
    if not spec.get("token"):
        raise bad_request("token is required for TokenReview in authentication")
    user = tokens.user_of(spec["token"])
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


def _review_access(rules: RuleTable, user: User | None, spec: JsonObject) -> bool:
    """Return whether the user, or else the user in the spec, may send the request in the spec."""
    resource: JsonObject | None = spec.get("resourceAttributes")
    path: JsonObject | None = spec.get("nonResourceAttributes")
    if resource is not None and path is not None:
        detail = "cannot be specified in combination with resourceAttributes"
        raise _invalid(Cause.invalid("spec.nonResourceAttributes", path, detail))
    if resource is None and path is None:
        detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        raise _invalid(Cause.invalid("spec.resourceAttributes", "null", detail))
    name, groups = (user.name, user.groups) if user is not None else (spec.get("user", ""), spec.get("groups", ()))
    if not name and not groups:
        raise _invalid(Cause.invalid("spec.user", "", "at least one of user or group must be specified"))
    if path is not None:
        is_open = path.get("verb") in ("get", "head") and is_discovery_path(path.get("path", ""))
        return (is_open and ALL_AUTHENTICATED in groups) or rules.allows_path(groups)
    resource = resource or {}
    attributes = RequestAttributes(
        verb=resource.get("verb", ""),
        api_group=resource.get("group", ""),
        resource=resource.get("resource", ""),
        subresource=resource.get("subresource", ""),
        namespace=resource.get("namespace", ""),
        name=resource.get("name", ""),
    )
    return rules.allows(name, groups, attributes)


def _check_namespace(review: JsonObject, namespace: str) -> None:
    requested = review.get("spec", {}).get("resourceAttributes", {}).get("namespace", "")
    if not requested:
        raise bad_request(f"spec.resourceAttributes.namespace must match namespace: {namespace}")
    if requested != namespace:
        raise _invalid(Cause.invalid("spec.resourceAttributes.namespace", requested, "must match metadata.namespace"))


def _invalid(cause: Cause) -> StatusError:
    return invalid("authorization.k8s.io", "", "", [cause])
