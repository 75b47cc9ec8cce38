"""RequestInfo: verb and resource of a request, from method, path and query parameters.

The rules are those of `k8s.io/apiserver/pkg/endpoints/request`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope

from signal_gateway.apiserver.apimachinery.status import StatusError, bad_request
from signal_gateway.apiserver.auth.authorization import RequestAttributes

__all__ = ["RequestInfo", "parse_request_info", "read_body"]

_BODY_LIMIT_BYTES = 3 * 1024 * 1024

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch"}


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """A request for a resource.

    Attributes:
        method: HTTP method.
        verb: Kubernetes verb: get list watch create update patch delete deletecollection.
        group: API group, empty for core.
        version: API version.
        namespace: Empty for cluster-scoped objects and for all namespaces.
        plural: Plural of the resource.
        name: Name of the object; empty for collections.
        subresource: Such as `status`; empty for the main resource.
        query: Query parameters; the last value of a repeated name.
        content_type: Media type of the body, without parameters.
        accept: Accept header.
        warnings: Texts for `Warning` headers of the response; see `warn`.
        created_names: Name of the object that the request created; see `set_created_name`.
    """

    method: str
    verb: str
    group: str
    version: str
    namespace: str
    plural: str
    name: str
    subresource: str
    query: Mapping[str, str]
    content_type: str
    accept: str
    warnings: list[str] = field(default_factory=list)
    created_names: list[str] = field(default_factory=list)

    @property
    def resource(self) -> str:
        """Return the plural, with the subresource after a slash."""
        return f"{self.plural}/{self.subresource}" if self.subresource else self.plural

    @property
    def object_name(self) -> str:
        """Return the name of the object, also of the created one; empty for collections."""
        return self.name or (self.created_names[-1] if self.created_names else "")

    def attributes(self) -> RequestAttributes:
        """Return the attributes that authorization depends on."""
        is_of_namespace = not self.group and self.plural == "namespaces"
        namespace = self.name if is_of_namespace else self.namespace
        return RequestAttributes(self.verb, self.group, self.plural, self.subresource, namespace, self.name)

    def warn(self, texts: Iterable[str]) -> None:
        """Add warnings to the response."""
        self.warnings.extend(texts)

    def set_created_name(self, name: str) -> None:
        """Keep the name of the created object, which is not in the URL."""
        self.created_names.append(name)

    def flag(self, name: str) -> bool:
        """Return whether a boolean query parameter is true."""
        return self.query.get(name, "").lower() in ("1", "true", "t")

    def number(self, name: str) -> int:
        """Return an integer query parameter; 0 if it is absent.

        Raises:
            StatusError: 400 if the value is not an integer.
        """
        text = self.query.get(name, "")
        try:
            return int(text) if text else 0
        except ValueError as exc:
            raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from exc


def parse_request_info(scope: Scope) -> RequestInfo | None:
    """Return verb and resource of a request, or `None` if its path is not of a resource."""
    match scope["path"].strip("/").split("/"):
        case ["api", version, *rest] if rest:
            group = ""
        case ["apis", group, version, *rest] if rest:
            pass
        case _:
            return None
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 1 and (len(rest) > 3 or rest[2:] not in ([], ["status"], ["finalize"])):
        namespace, rest = rest[1], rest[2:]
    if len(rest) > 3 or (group and rest[0] == "namespaces"):
        return None
    plural, name, subresource = [*rest, "", ""][:3]
    query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
    headers = {key: value.decode("latin-1") for key, value in scope["headers"] if key in (b"content-type", b"accept")}
    method: str = scope["method"]
    return RequestInfo(
        method=method,
        verb=_verb(method, name, query),
        group=group,
        version=version,
        namespace=namespace,
        plural=plural,
        name=name,
        subresource=subresource,
        query=query,
        content_type=headers.get(b"content-type", "").partition(";")[0].strip().lower(),
        accept=headers.get(b"accept", ""),
    )


def _verb(method: str, name: str, query: Mapping[str, str]) -> str:
    if method in ("GET", "HEAD"):
        if name:
            return "get"
        return "watch" if query.get("watch", "").lower() in ("1", "true", "t") else "list"
    if method == "DELETE":
        return "delete" if name else "deletecollection"
    return _VERBS.get(method, method.lower())


async def read_body(receive: Receive) -> bytes:
    """Read the body of a request.

    Raises:
        StatusError: 413 if the body is larger than 3 MiB, the limit of the real API server; 400 if the client
            disconnects early.
    """
    chunks, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise bad_request("the client disconnected before the request body was complete")
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > _BODY_LIMIT_BYTES:
            text = f"Request entity too large: limit is {_BODY_LIMIT_BYTES}"
            raise StatusError(413, text, reason="RequestEntityTooLarge")
        if not message.get("more_body"):
            return b"".join(chunks)
