"""A real Chromium without a screen, and a DataStorage for it to look at."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from signal_gateway.clock import MovableClock
from signal_gateway.datastorage import create_datastorage
from signal_gateway.testing import LiveServer

# what DataStorage's pages are to live with
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--window-size=1280,900",
)


class UnderPolicy:
    """Puts the Content-Security-Policy on every answer of an app."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"content-security-policy", POLICY.encode())]
            await send(message)

        await self._app(scope, receive, send_with_policy)


@contextmanager
def viewer(
    directory: Path, before: Sequence[dict[str, Any]] = (), live: Iterable[dict[str, Any]] = (), *, now: datetime
) -> Iterator[str]:
    """Serve a DataStorage whose clock stands still at a moment; gives its URL.

    Args:
        directory: For its database.
        before: Events that came in some minutes before that moment.
        live: Events that came in when they happened, but not later than now.
        now: The moment.
    """
    clock = MovableClock(now - timedelta(minutes=10))
    app = UnderPolicy(create_datastorage(f"sqlite:///{directory}/audit.db", clock=clock).app)
    with LiveServer(app, name="DataStorage", lifespan="on") as server:
        for start in range(0, len(before), 1000):
            server.client.post("/api/v1/audit/events/batch", json=before[start : start + 1000]).raise_for_status()
        for event in live:
            happened = min(datetime.fromisoformat(event["event_timestamp"]), now)
            clock.advance((happened - clock.now()).total_seconds())
            server.client.post("/api/v1/audit/events", json=event).raise_for_status()
        clock.advance((now - clock.now()).total_seconds())
        yield server.url


@contextmanager
def chromium(program: str, driver: str) -> Iterator[Chrome]:
    """Start Chromium with a profile of its own."""
    with TemporaryDirectory(prefix="chromium-") as profile:
        options = ChromeOptions()
        options.binary_location = program
        for argument in (*ARGUMENTS, f"--user-data-dir={profile}"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        browser = Chrome(options=options, service=ChromeService(driver))
        try:
            yield browser
        finally:
            browser.quit()


def emulate(browser: Chrome, width: int, height: int, *, scheme: str = "light", is_mobile: bool = False) -> None:
    """Take on a size in CSS pixels, and a preference of colours."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_mobile}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
