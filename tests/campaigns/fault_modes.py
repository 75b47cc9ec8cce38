"""Every way in which DataStorage may answer a batch, or fail to."""

import random
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Protocol

import orjson
from tests.campaigns.orders import Order

__all__ = ["GONE", "MODES", "Exchange", "Mode"]

RETRY_AFTER = 1
SMALLEST_LIMIT, LARGEST_LIMIT = 60_000, 400_000
GONE = "gone and back"


class Exchange(Protocol):
    """One request, and what can be done about it."""

    @property
    def orders(self) -> Sequence[Order]:
        """The events of the batch."""
        ...

    @property
    def body_bytes(self) -> int: ...

    @property
    def rng(self) -> random.Random: ...

    def commit(self, orders: Sequence[Order]) -> None:
        """Store these events of it."""
        ...

    def refuse(self, bad: Sequence[Order]) -> None:
        """Note the events that are the reason for a refusal."""
        ...

    def acknowledge(self, status: int, body: bytes) -> None:
        """Answer so that the store must let the events go."""
        ...

    def reply(self, status: int, body: bytes, content_type: str, headers: Mapping[str, str]) -> None:
        """Answer in any other way."""
        ...

    def begin_reply(self, body_bytes: int, body: bytes) -> None:
        """Promise so many bytes of a 201, and send these."""
        ...

    def leave_alone(self, seconds: float) -> None:
        """Expect that the client obeys a Retry-After."""
        ...

    def hang(self) -> None:
        """Answer nothing until the client has gone."""
        ...

    def drop(self) -> None:
        """Close the connection."""
        ...

    def reset(self) -> None:
        """Break the connection."""
        ...


Mode = Callable[[Exchange], None]


def _stored(exchange: Exchange, events: int | None = None) -> bool:
    """Store a batch without bad events, or so many of it, and refuse another; return whether it was stored."""
    bad = [order for order in exchange.orders if order.bad]
    if bad:
        _refuse(exchange, bad, named=exchange.rng.random() < 0.5)
        return False
    exchange.commit(exchange.orders[:events])
    return True


def _refuse(exchange: Exchange, bad: Sequence[Order], *, named: bool) -> None:
    exchange.refuse(bad)
    problem: dict[str, object] = {
        "title": "Bad Request",
        "status": 400,
        "detail": f"{len(bad)} events are bad",
        "instance": "/api/v1/audit/events/batch",
    }
    if named:
        problem["errors"] = [
            {"index": index, "event_id": order.event_id, "field": "severity", "reason": "is bad"}
            for index, order in enumerate(exchange.orders)
            if order.bad
        ]
    status = exchange.rng.choice((400, 422))
    exchange.reply(status, orjson.dumps(problem), "application/problem+json", {})


def _event_ids(orders: Sequence[Order]) -> bytes:
    return orjson.dumps({"event_ids": [order.event_id for order in orders], "message": "stored"})


def normal(exchange: Exchange) -> None:
    if _stored(exchange):
        exchange.acknowledge(HTTPStatus.CREATED, _event_ids(exchange.orders))


def accepted(exchange: Exchange) -> None:
    """Store the batch and answer 202, which acknowledges nothing."""
    if _stored(exchange):
        exchange.reply(HTTPStatus.ACCEPTED, b"", "application/json", {})


def answer_lost(exchange: Exchange) -> None:
    if _stored(exchange):
        exchange.drop()


def hang_before_commit(exchange: Exchange) -> None:
    exchange.hang()


def hang_after_commit(exchange: Exchange) -> None:
    if _stored(exchange):
        exchange.hang()


def half_a_body(exchange: Exchange) -> None:
    if _stored(exchange, exchange.rng.choice((0, None))):
        body = _event_ids(exchange.orders)
        exchange.begin_reply(len(body), body[: len(body) // 2])
        exchange.drop()


def too_few_ids(exchange: Exchange) -> None:
    if _stored(exchange, -1):
        body = _event_ids(exchange.orders[:-1])
        exchange.reply(HTTPStatus.CREATED, body, "application/json", {})


def reset(exchange: Exchange) -> None:
    exchange.reset()


def reset_after_commit(exchange: Exchange) -> None:
    if _stored(exchange):
        exchange.reset()


def refusal(named: bool) -> Mode:
    def mode(exchange: Exchange) -> None:
        bad = [order for order in exchange.orders if order.bad]
        if bad:
            _refuse(exchange, bad, named=named)
        else:
            normal(exchange)

    return mode


def too_large(exchange: Exchange) -> None:
    if exchange.body_bytes > exchange.rng.randint(SMALLEST_LIMIT, LARGEST_LIMIT):
        exchange.reply(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, b"{}", "application/problem+json", {})
    else:
        normal(exchange)


def busy(exchange: Exchange) -> None:
    exchange.leave_alone(RETRY_AFTER)
    exchange.reply(HTTPStatus.TOO_MANY_REQUESTS, b"", "text/plain", {"retry-after": str(RETRY_AFTER)})


def failure(status: int) -> Mode:
    def mode(exchange: Exchange) -> None:
        if exchange.rng.random() < 0.5 and not _stored(exchange):
            return
        exchange.reply(status, b"out of order", "text/plain", {})

    return mode


def stranger(status: int, **headers: str) -> Mode:
    def mode(exchange: Exchange) -> None:
        exchange.reply(status, b"<!doctype html><title>Welcome</title>", "text/html", headers)

    return mode


def medley(exchange: Exchange) -> None:
    one = exchange.rng.choice([mode for mode in MODES.values() if mode not in (medley, busy)])
    one(exchange)


MODES: dict[str, Mode] = {
    "normal": normal,
    "answer lost": answer_lost,
    "hang before commit": hang_before_commit,
    "hang after commit": hang_after_commit,
    "500": failure(500),
    "502": failure(502),
    "503": failure(503),
    "429 Retry-After": busy,
    "413": too_large,
    "202": accepted,
    "400 with items": refusal(named=True),
    "400 without items": refusal(named=False),
    "400 HTML": stranger(400),
    "404": stranger(404),
    "301": stranger(301, location="/elsewhere"),
    "401": stranger(401),
    "200 HTML": stranger(200),
    "half a body": half_a_body,
    "too few ids": too_few_ids,
    "reset": reset,
    "reset after commit": reset_after_commit,
    "medley": medley,
}
