"""KubernetesAuthenticator: verifies bearer tokens by TokenReview and SubjectAccessReview."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from signal_gateway.clock import Clock
from signal_gateway.gateway.http.authentication import sender_not_allowed
from signal_gateway.kubernetes import KubernetesClient, Observer
from signal_gateway.web.credentials import unknown_token

__all__ = ["SERVICE_NAME", "KubernetesAuthenticator"]

SERVICE_NAME: Final = "gateway-service"
"""A sender needs the permission to create the Service of this name in the controller namespace."""

_SECONDS_GOOD: Final = 60.0
_SECONDS_BAD: Final = 5.0
_MAX_KEPT: Final = 1024


@dataclass(frozen=True, slots=True)
class _Verdict:
    sender: str | None
    is_known: bool
    ends_at: float


class KubernetesAuthenticator:
    """Finds the user of a token by TokenReview, and checks by SubjectAccessReview that the user may send signals.

    A positive result is kept for 60 seconds, a negative result for 5, by the SHA-256 of the token. Up to 1 024 results
    of each sort are kept, so that a sender of random tokens does not displace the positive results. Concurrent requests
    with one token share one review. Runs on the client's loop.

    Source: https://kubernetes.io/docs/reference/access-authn-authz/

    Args:
        kubernetes: Client of the cluster. Its permissions must include both reviews.
        namespace: The controller namespace.
        clock: Measures the age of a result.
        observer: Receives verb, resource and code of each call.
    """

    def __init__(
        self, kubernetes: KubernetesClient, *, namespace: str, clock: Clock, observer: Observer | None = None
    ) -> None:
        self._kubernetes = kubernetes
        self._namespace = namespace
        self._clock = clock
        self._observer = observer
        self._good: OrderedDict[bytes, _Verdict] = OrderedDict()
        self._bad: OrderedDict[bytes, _Verdict] = OrderedDict()
        self._reviews: dict[bytes, asyncio.Future[_Verdict]] = {}

    async def authenticate(self, token: str) -> str:
        """Return the user's name, such as `system:serviceaccount:monitoring:alertmanager`.

        Raises:
            BadCredentials: The cluster does not know the token, or the user may not send signals.
            KubernetesError: A review failed.
        """
        verdict = await self._verdict(sha256(token.encode("latin-1")).digest(), token)
        if verdict.sender is not None:
            return verdict.sender
        raise sender_not_allowed() if verdict.is_known else unknown_token()

    async def _verdict(self, key: bytes, token: str) -> _Verdict:
        while True:
            kept = self._good.get(key) or self._bad.get(key)
            if kept is not None and kept.ends_at > self._clock.monotonic():
                return kept
            review = self._reviews.get(key)
            if review is None:
                return await self._review(key, token)
            await asyncio.wait([review])
            if not review.cancelled():
                return review.result()

    async def _review(self, key: bytes, token: str) -> _Verdict:
        review = self._reviews[key] = asyncio.get_running_loop().create_future()
        try:
            verdict = await self._ask(token)
            review.set_result(verdict)
            self._keep(key, verdict)
            return verdict
        except Exception as exc:
            review.set_exception(exc)
            review.exception()  # seen, even if nobody else waits
            raise
        finally:
            del self._reviews[key]
            review.cancel()  # if the one who asked has left, the next one asks

    async def _ask(self, token: str) -> _Verdict:
        asked_at = self._clock.monotonic()
        status = await self._kubernetes.review_token(token, observer=self._observer)
        user = status.get("user") or {}
        if not status.get("authenticated") or not user.get("username"):
            return _Verdict(None, is_known=False, ends_at=asked_at + _SECONDS_BAD)
        access = await self._kubernetes.review_access(self._access_spec(user), observer=self._observer)
        if not access.get("allowed"):
            return _Verdict(None, is_known=True, ends_at=asked_at + _SECONDS_BAD)
        return _Verdict(user["username"], is_known=True, ends_at=asked_at + _SECONDS_GOOD)

    def _access_spec(self, user: Mapping[str, Any]) -> dict[str, Any]:
        subject = {"user": user["username"]} | {key: user[key] for key in ("groups", "uid", "extra") if user.get(key)}
        action = {"namespace": self._namespace, "verb": "create", "resource": "services", "name": SERVICE_NAME}
        return subject | {"resourceAttributes": action}

    def _keep(self, key: bytes, verdict: _Verdict) -> None:
        kept, other = (self._good, self._bad) if verdict.sender is not None else (self._bad, self._good)
        other.pop(key, None)
        kept[key] = verdict
        kept.move_to_end(key)
        if len(kept) > _MAX_KEPT:
            kept.popitem(last=False)
