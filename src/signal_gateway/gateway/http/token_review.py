"""KubernetesAuthenticator: verifies senders by the reviews of the Kubernetes API."""

from collections.abc import Mapping
from functools import partial
from hashlib import sha256
from typing import Any, Final

from signal_gateway.clock import Clock
from signal_gateway.concurrency import CachedRead
from signal_gateway.gateway.http.authentication import sender_not_allowed
from signal_gateway.kubernetes import CallObserver, KubernetesClient
from signal_gateway.web.credentials import unknown_token

__all__ = ["SERVICE_NAME", "KubernetesAuthenticator"]

SERVICE_NAME: Final = "gateway-service"
"""A sender needs the permission to create the Service of this name in the controller namespace."""

_SECONDS_GOOD: Final = 60.0
_SECONDS_BAD: Final = 5.0
_MAX_KEPT: Final = 1024


class KubernetesAuthenticator:
    """Verifies a token by a TokenReview, and the right of its owner to send signals by a SubjectAccessReview.

    A valid token is kept for 60 seconds, a refused one for 5, by its SHA-256. 1 024 of each are kept, so that a sender
    that tries tokens does not push out the valid ones. Concurrent requests with the same token share one review. Runs
    on the client's loop.

    Source: https://kubernetes.io/docs/reference/access-authn-authz/

    Args:
        kubernetes: The client. Its own rights must allow both reviews.
        namespace: The controller namespace.
        clock: Measures the age of the reviews.
        observer: Observes the calls.
    """

    def __init__(
        self, kubernetes: KubernetesClient, *, namespace: str, clock: Clock, observer: CallObserver | None = None
    ) -> None:
        self._kubernetes = kubernetes
        self._namespace = namespace
        self._clock = clock
        self._observer = observer
        self._senders: CachedRead[bytes, str] = CachedRead(max_age=_SECONDS_GOOD, max_entries=_MAX_KEPT, clock=clock)
        self._refusals: CachedRead[bytes, bool] = CachedRead(max_age=_SECONDS_BAD, max_entries=_MAX_KEPT, clock=clock)

    async def authenticate(self, token: str) -> str:
        """Return the name of the user, such as `system:serviceaccount:monitoring:alertmanager`.

        Raises:
            BadCredentials: The cluster does not know the token, or its owner may not send signals.
            KubernetesError: The token could not be verified.
        """
        key = sha256(token.encode("latin-1")).digest()
        is_known = self._refusals.kept(key)
        if is_known is not None:
            raise sender_not_allowed() if is_known else unknown_token()
        return await self._senders.get(key, partial(self._review, key, token))

    async def _review(self, key: bytes, token: str) -> str:
        begun_at = self._clock.monotonic()
        status = await self._kubernetes.review_token(token, observer=self._observer)
        user = status.get("user") or {}
        if not status.get("authenticated") or not user.get("username"):
            self._refusals.keep(key, False, begun_at=begun_at)
            raise unknown_token()
        access = await self._kubernetes.review_access(self._question(user), observer=self._observer)
        if not access.get("allowed"):
            self._refusals.keep(key, True, begun_at=begun_at)
            raise sender_not_allowed()
        sender: str = user["username"]
        return sender

    def _question(self, user: Mapping[str, Any]) -> dict[str, Any]:
        subject = {"user": user["username"]} | {key: user[key] for key in ("groups", "uid", "extra") if user.get(key)}
        action = {"namespace": self._namespace, "verb": "create", "resource": "services", "name": SERVICE_NAME}
        return subject | {"resourceAttributes": action}
