"""The kinds of reviews: they can be created only, and are answered at once."""

from signal_gateway.apiserver.apimachinery.resources import Resource
from signal_gateway.apiserver.kinds.rows import row
from signal_gateway.apiserver.kinds.schema.strategy import ModelStrategy

__all__ = ["REVIEWS"]


def _review(group: str, kind: str, *, namespaced: bool = False) -> Resource:
    strategy = ModelStrategy(f"{group}_v1.{kind}")
    return row(f"{group}.k8s.io/v1", kind, strategy, namespaced=namespaced, verbs=("create",))


REVIEWS = (
    _review("authentication", "SelfSubjectReview"),
    _review("authentication", "TokenReview"),
    _review("authorization", "LocalSubjectAccessReview", namespaced=True),
    _review("authorization", "SelfSubjectAccessReview"),
    _review("authorization", "SelfSubjectRulesReview"),
    _review("authorization", "SubjectAccessReview"),
)
