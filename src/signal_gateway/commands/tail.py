"""`signal-gateway audit tail`: show events as DataStorage stores them."""

import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from signal_gateway.commands.audit import Json
from signal_gateway.commands.event_lines import followed_line
from signal_gateway.commands.output import note, say, say_json
from signal_gateway.commands.query import AuditQuery, query_options

if TYPE_CHECKING:
    from signal_gateway.commands.follow import Follower

__all__ = ["tail_events"]


@query_options
def tail_events(
    query: AuditQuery,
    interval: Annotated[float, typer.Option(min=0.05, max=86400, help="seconds between two queries")] = 2.0,
    as_json: Json = False,
) -> None:
    """Show events as DataStorage stores them, until Ctrl-C.

    Each event appears once, in the order of storage. An event that was delivered late, from a spool, appears if its
    timestamp is not older than --since, by default 1h. If DataStorage is down, the command retries until it responds.
    """
    from signal_gateway.clock import SystemClock
    from signal_gateway.commands.follow import Follower

    with suppress(KeyboardInterrupt), query.client() as client:
        follower = Follower(client, query.filters, clock=SystemClock())
        follower.start()
        note(f"following {query.url}: new events appear here until Ctrl-C")
        _follow(follower, query.url, interval, say_json if as_json else _say_event)


def _follow(follower: "Follower", url: str, interval: float, show: Callable[[dict[str, Any]], None]) -> None:
    from signal_gateway.audit.errors import DataStorageUnavailable, TokenRefused

    never = threading.Event()
    is_down = False
    while not never.wait(interval):  # KeyboardInterrupt ends it at once
        try:
            events = follower.new_events()
        except TokenRefused:
            raise
        except DataStorageUnavailable as exc:
            if not is_down:
                note(f"asking again every {interval:g} s: {exc}")
            is_down = True
            continue
        if is_down:
            note(f"DataStorage at {url} answers again")
            is_down = False
        for event in events:
            show(event)
        sys.stdout.flush()


def _say_event(event: dict[str, Any]) -> None:
    say(followed_line(event))
