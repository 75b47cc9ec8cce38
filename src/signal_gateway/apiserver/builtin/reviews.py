"""The kinds of reviews: they can be created only, and are answered at once."""

from signal_gateway.apiserver.builtin.strategy import ModelStrategy
from signal_gateway.apiserver.resources import Resource

__all__ = ["REVIEWS"]

_AUTHENTICATION, _AUTHORIZATION = "authentication.k8s.io", "authorization.k8s.io"


def _row(group: str, kind: str, *, namespaced: bool = False) -> Resource:
    return Resource(
        group=group,
        version="v1",
        plural=f"{kind.lower()}s",
        singular=kind.lower(),
        kind=kind,
        list_kind=f"{kind}List",
        namespaced=namespaced,
        strategy=ModelStrategy(f"{group.partition('.')[0]}_v1.{kind}"),
        has_generation=False,
        verbs=("create",),
    )


REVIEWS = (
    _row(_AUTHENTICATION, "SelfSubjectReview"),
    _row(_AUTHENTICATION, "TokenReview"),
    _row(_AUTHORIZATION, "LocalSubjectAccessReview", namespaced=True),
    _row(_AUTHORIZATION, "SelfSubjectAccessReview"),
    _row(_AUTHORIZATION, "SelfSubjectRulesReview"),
    _row(_AUTHORIZATION, "SubjectAccessReview"),
)
