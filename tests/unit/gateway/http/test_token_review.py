import asyncio
from datetime import UTC, datetime
from functools import partial

import pytest

from signal_gateway.clock import MovableClock
from signal_gateway.gateway.http import token_review
from signal_gateway.gateway.http.token_review import KubernetesAuthenticator
from signal_gateway.kubernetes import ApiUnavailable
from signal_gateway.web.credentials import BadCredentials

pytestmark = pytest.mark.asyncio

SENDER = {
    "username": "system:serviceaccount:monitoring:alertmanager",
    "uid": "u-1",
    "groups": ["g"],
    "extra": {"a": ["b"]},
}


class Reviews:
    """What a cluster says about tokens."""

    def __init__(self):
        self.asked = []
        self.questions = []
        self.users = {"good": SENDER, "stranger": {"username": "somebody"}}
        self.failure = None
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.begun = asyncio.Semaphore(0)

    async def review_token(self, token, *, observer):  # noqa: ARG002
        self.asked.append(token)
        self.begun.release()
        await self.may_answer.wait()
        if self.failure is not None:
            raise self.failure
        user = self.users.get(token)
        return {"authenticated": True, "user": user} if user else {"user": {}, "error": "invalid bearer token"}

    async def review_access(self, spec, *, observer):  # noqa: ARG002
        self.questions.append(spec)
        return {"allowed": spec["user"] == SENDER["username"]}


@pytest.fixture
def reviews():
    return Reviews()


@pytest.fixture
def clock():
    return MovableClock(datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def build_authenticator(reviews, clock):
    return partial(KubernetesAuthenticator, reviews, namespace="kubernaut-system", clock=clock)


@pytest.fixture
def authenticator(build_authenticator):
    return build_authenticator()


async def refusal(authenticator, token):
    with pytest.raises(BadCredentials) as refused:
        await authenticator.authenticate(token)
    return refused.value.status


async def test_owner_of_a_token_is_asked_about_with_all_that_is_known_of_it(authenticator, reviews):
    assert await authenticator.authenticate("good") == SENDER["username"]

    assert reviews.questions == [
        {
            "user": SENDER["username"],
            "uid": "u-1",
            "groups": ["g"],
            "extra": {"a": ["b"]},
            "resourceAttributes": {
                "namespace": "kubernaut-system",
                "verb": "create",
                "resource": "services",
                "name": "gateway-service",
            },
        }
    ]


async def test_nobodys_token_is_401_and_that_of_somebody_without_the_right_403(authenticator):
    assert await refusal(authenticator, "nobodys") == 401
    assert await refusal(authenticator, "stranger") == 403


async def test_good_answer_holds_for_a_minute(authenticator, reviews, clock):
    await authenticator.authenticate("good")
    del reviews.users["good"]

    clock.advance(59.9)
    await authenticator.authenticate("good")
    clock.advance(0.1)

    assert await refusal(authenticator, "good") == 401
    assert reviews.asked == ["good", "good"]


async def test_bad_answer_holds_for_five_seconds(authenticator, reviews, clock):
    await refusal(authenticator, "new")
    reviews.users["new"] = SENDER

    clock.advance(4.9)
    still = await refusal(authenticator, "new")
    clock.advance(0.1)

    assert still == 401
    assert await authenticator.authenticate("new") == SENDER["username"]
    assert reviews.asked == ["new", "new"]


async def test_those_who_ask_at_the_same_time_share_one_review(authenticator, reviews):
    assert len(set(await asyncio.gather(*(authenticator.authenticate("good") for _ in range(50))))) == 1

    assert (len(reviews.asked), len(reviews.questions)) == (1, 1)


async def test_one_who_leaves_does_not_take_the_others_answer_along(authenticator, reviews):
    reviews.may_answer.clear()
    leaver = asyncio.create_task(authenticator.authenticate("good"))
    await reviews.begun.acquire()
    stayer = asyncio.create_task(authenticator.authenticate("good"))
    await asyncio.sleep(0)

    leaver.cancel()
    await reviews.begun.acquire()
    reviews.may_answer.set()

    assert await stayer == SENDER["username"]
    assert reviews.asked == ["good", "good"]


async def test_failure_is_everybodys_who_waits_and_is_not_kept(authenticator, reviews):
    reviews.failure = ApiUnavailable("down")
    reviews.may_answer.clear()
    waiting = [asyncio.create_task(authenticator.authenticate("good")) for _ in range(3)]
    await reviews.begun.acquire()
    reviews.may_answer.set()

    failed = await asyncio.gather(*waiting, return_exceptions=True)
    reviews.failure = None

    assert [type(failure) for failure in failed] == [ApiUnavailable] * 3
    assert await authenticator.authenticate("good") == SENDER["username"]
    assert len(reviews.asked) == 2


async def test_tokens_that_somebody_tries_do_not_push_out_the_good_ones(build_authenticator, reviews, monkeypatch):
    monkeypatch.setattr(token_review, "_MAX_KEPT", 2)
    authenticator = build_authenticator()
    await authenticator.authenticate("good")

    for number in range(10):
        await refusal(authenticator, f"try-{number}")
    await authenticator.authenticate("good")

    assert reviews.asked.count("good") == 1
    assert len(authenticator._refusals) == 2
