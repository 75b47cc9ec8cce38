"""The viewer in a real Chromium, under the Content-Security-Policy that DataStorage's pages are to live with."""

import re
from datetime import datetime, timedelta
from urllib.parse import parse_qsl, urlsplit
from zoneinfo import ZoneInfo

import pytest
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait
from tests.e2e.audit_day import CROWDED, NOW, SHOWN, UNWIELDY, crowd, day, shown, unwieldy
from tests.e2e.browser import chromium, emulate, viewer

CSS = By.CSS_SELECTOR
ERROR_PAGE = re.compile(r"http://[^/]+/(correlations)?\?\S* - Failed to load resource: .* status of 40[04] ")


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """A DataStorage with the events of a day."""
    directory = tmp_path_factory.mktemp("datastorage")
    with viewer(directory, [*day(), *crowd(120), unwieldy()], shown(), now=NOW) as url:
        yield url


@pytest.fixture(scope="module")
def running_browser(program):
    """One Chromium for all tests here: it takes a second to start."""
    with chromium(program("chromium"), program("chromedriver")) as browser:
        yield browser


@pytest.fixture
def browser(running_browser):
    """A desktop's window; the test fails if the page complained in its console, as of a breach of the policy."""
    emulate(running_browser, 1280, 900)
    running_browser.get_log("browser")
    yield running_browser
    assert [entry for entry in running_browser.get_log("browser") if not is_of_an_error_page(entry)] == []


def is_of_an_error_page(entry):
    """Whether Chromium says no more than that a page, and nothing that belongs to it, came with an error's status."""
    return entry["source"] == "network" and ERROR_PAGE.match(entry["message"]) is not None


def until(browser, condition):
    """Wait until a condition holds; its result."""
    return WebDriverWait(browser, 20, poll_frequency=0.02).until(lambda _: condition())


def one(browser, selector):
    return browser.find_element(CSS, selector)


def press(browser, *keys):
    ActionChains(browser).send_keys(*keys).perform()


def follow(browser, action):
    """Do something that leads to another page, and wait until that is there."""
    before = one(browser, "html")
    action()
    WebDriverWait(browser, 20, poll_frequency=0.02).until(lambda _: is_gone(before))
    until(browser, lambda: browser.execute_script("return document.readyState") == "complete")


def is_gone(element):
    try:
        element.is_enabled()
    except StaleElementReferenceException:
        return True
    return False


def asked(browser):
    return dict(parse_qsl(urlsplit(browser.current_url).query, keep_blank_values=True))


def focused(browser):
    return browser.switch_to.active_element


def test_search_leaves_only_what_was_filled_in_in_the_url(browser, url):
    browser.get(url)
    one(browser, "#since").send_keys("24h")
    Select(one(browser, "#event_outcome")).select_by_visible_text("failure")

    follow(browser, lambda: one(browser, "form.search button").click())

    assert asked(browser) == {"event_outcome": "failure", "since": "24h"}
    outcomes = {cell.text for cell in browser.find_elements(CSS, "td.what-came")}
    assert outcomes == {"failure"}
    assert one(browser, "#since").get_property("value") == "24h"


def test_bar_of_the_chart_narrows_the_search(browser, url):
    browser.get(f"{url}/?since=24h&event_outcome=failure")
    bar = browser.find_elements(CSS, ".plot a")[-1]
    assert bar.size["height"] > 100

    follow(browser, lambda: ActionChains(browser).move_to_element(bar).click().perform())

    assert asked(browser).keys() == {"since", "until", "event_outcome"}
    assert 0 < len(browser.find_elements(CSS, "td.what-came")) < 25


def test_keys_go_from_the_search_to_a_timeline_and_back(browser, url):
    browser.get(f"{url}/?since=24h")

    press(browser, "/", SHOWN, Keys.ESCAPE)
    assert one(browser, "#text").get_property("value") == SHOWN
    assert focused(browser).tag_name == "body"
    press(browser, "/")
    follow(browser, lambda: press(browser, Keys.ENTER))
    press(browser, "jjk", Keys.ARROW_DOWN, Keys.ARROW_UP, "j")
    assert focused(browser) == browser.find_elements(CSS, "a.row")[1]

    follow(browser, lambda: press(browser, Keys.ENTER))
    assert one(browser, "h1").text == SHOWN
    press(browser, "j", Keys.ENTER)
    until(browser, lambda: len(browser.find_elements(CSS, ".payload[open]")) == 1)

    follow(browser, lambda: press(browser, Keys.ESCAPE))
    assert asked(browser) == {"text": SHOWN, "since": "24h"}


def test_help_shows_the_keys_and_escape_closes_it(browser, url):
    browser.get(f"{url}/correlations?correlation_id={SHOWN}")

    press(browser, "?")
    until(browser, lambda: one(browser, "#help").is_displayed())
    assert "next event" in one(browser, "#help").text
    press(browser, Keys.ESCAPE)
    until(browser, lambda: not one(browser, "#help").is_displayed())

    assert asked(browser) == {"correlation_id": SHOWN}


def test_copy_puts_the_payload_into_the_clipboard(browser, url):
    browser.execute_cdp_cmd(
        "Browser.grantPermissions", {"origin": url, "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    )
    browser.get(f"{url}/correlations?correlation_id={SHOWN}")
    one(browser, ".failure .payload summary").click()
    payload = one(browser, ".failure .payload pre").text

    one(browser, ".failure .payload button").click()
    until(browser, lambda: one(browser, ".failure .payload button").text == "Copied")

    assert one(browser, "#status").get_property("textContent") == "Copied"
    read = "navigator.clipboard.readText().then(arguments[0], (error) => arguments[0](String(error)))"
    assert browser.execute_async_script(read) == payload
    assert '"attempt": 1' in payload


def test_copy_without_a_clipboard_falls_back_to_the_selection(browser, url):
    browser.get(f"{url}/correlations?correlation_id={SHOWN}")
    browser.execute_script("Object.defineProperty(navigator, 'clipboard', {value: undefined})")

    one(browser, "[data-copy=subject]").click()
    until(browser, lambda: one(browser, "[data-copy=subject]").text == "Copied")

    assert browser.execute_script("return String(getSelection())") == SHOWN


def test_expand_all_leaves_the_sensitive_payload_folded(browser, url):
    browser.get(f"{url}/correlations?correlation_id={SHOWN}")

    one(browser, "#expand").click()
    folded = browser.find_elements(CSS, ".payload:not([open])")
    assert [one.get_attribute("data-sensitive") is not None for one in folded] == [True]
    one(browser, "#collapse").click()

    assert not browser.find_elements(CSS, ".payload[open]")


def test_long_timeline_turns_its_pages(browser, url):
    browser.get(f"{url}/?event_type=gateway.signal.deduplicated&since=2m")
    link = next(row for row in browser.find_elements(CSS, "a.row") if row.text == CROWDED)
    follow(browser, link.click)
    assert one(browser, "h1").text == CROWDED

    follow(browser, one(browser, "a[rel=next]").click)
    follow(browser, one(browser, "a[rel=next]").click)

    assert len(browser.find_elements(CSS, ".timeline > li")) == 20
    assert one(browser, ".offset").text == "+1 h 40 min"


@pytest.mark.parametrize("width", [360, 700, 910])
def test_page_never_scrolls_sideways(browser, url, width):
    emulate(browser, width, 780, is_mobile=width == 360)

    for path in (
        "?since=24h",
        "?since=never",
        f"?correlation_id={UNWIELDY}",
        f"correlations?correlation_id={UNWIELDY}",
    ):
        browser.get(f"{url}/{path}")
        for fold in browser.find_elements(CSS, "details:not([open]) > summary"):
            fold.click()
        sizes = browser.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
        assert sizes == [width, width], path


LUMINANCE = """
const channels = (color) => color.match(/[0-9.]+/g).map(Number);
const luminance = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
        const color = channels(getComputedStyle(e).backgroundColor);
        if (color.length === 3 || color[3] === 1) return color;
    }
    return [255, 255, 255];
};
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
const low = [];
while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility({visibilityProperty: true})) continue;
    const [a, b] = [luminance(channels(getComputedStyle(element).color)), luminance(ground(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) low.push([contrast, element.tagName, element.className, walker.currentNode.data]);
}
return low;
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_light_and_dark(browser, url, scheme):
    emulate(browser, 1280, 900, scheme=scheme)

    for path in ("?since=24h", "?since=never", "?severity=none", f"correlations?correlation_id={SHOWN}"):
        browser.get(f"{url}/{path}")
        for fold in browser.find_elements(CSS, ".payload summary"):
            fold.click()
        assert browser.execute_script(LUMINANCE) == []

    ground = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(245, 246, 248)", "dark": "rgb(17, 21, 27)"}[scheme]


def test_times_have_the_readers_own_zone_as_a_tooltip(browser, url):
    browser.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": "Asia/Kathmandu"})

    browser.get(f"{url}/correlations?correlation_id={SHOWN}")

    title = one(browser, ".facts time").get_attribute("title")
    assert "9:14:18" in title
    assert title.endswith("2026-03-14T15:29:18Z")
    browser.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": ""})


def test_submitting_says_that_the_search_is_going_on(browser, url):
    browser.get(url)
    browser.execute_script(
        "document.querySelector('form.search').addEventListener('submit', (event) => event.preventDefault())"
    )

    one(browser, "form.search button").click()

    assert one(browser, "form.search").get_attribute("aria-busy") == "true"
    assert one(browser, "form.search button").text == "Searching…"


def test_everything_can_be_read_without_a_script(browser, url):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(url)
        one(browser, "#correlation_id").send_keys(SHOWN)
        one(browser, "form.search button").click()
        until(browser, lambda: SHOWN in browser.current_url and len(browser.find_elements(CSS, "a.row")) == 8)
        assert not one(browser, "#open-help").is_displayed()

        browser.find_elements(CSS, "a.row")[0].click()
        until(browser, lambda: browser.find_elements(CSS, "h1#subject"))
        one(browser, ".failure .payload summary").click()
        assert '"attempt": 1' in one(browser, ".failure .payload pre").text
        assert not [button for button in browser.find_elements(CSS, ".quiet") if button.is_displayed()]
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_times_are_in_the_zone_of_the_reader_with_utc_beside(browser, url):
    browser.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": "Africa/Nairobi"})
    try:
        browser.get(f"{url}/correlations?correlation_id={SHOWN}")
        time = one(browser, ".timeline .when time")
        shown_time, utc = time.text.removesuffix(" UTC").rsplit(" ", 1)
        exact = datetime.fromisoformat(time.get_attribute("datetime"))
        assert shown_time.split(" UTC")[0].startswith(
            exact.astimezone(ZoneInfo("Africa/Nairobi")).strftime("%Y-%m-%d %H:%M:%S")
        )
        assert utc == exact.strftime("%H:%M:%S")
        assert one(browser, "#zone").text == "Africa/Nairobi, with UTC beside"
    finally:
        browser.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": "UTC"})


def test_tab_meets_one_bar_and_arrows_move_between_them(browser, url):
    browser.get(f"{url}/?since=24h")
    bars = browser.find_elements(CSS, ".plot a")
    browser.execute_script("arguments[0].focus()", bars[-1])

    press(browser, Keys.ARROW_LEFT, Keys.ARROW_LEFT, Keys.ARROW_RIGHT)
    assert focused(browser) == bars[-2]

    press(browser, Keys.TAB)
    assert focused(browser).tag_name == "summary"


def test_copied_link_is_absolute_in_place_and_in_time(browser, url):
    browser.execute_cdp_cmd(
        "Browser.grantPermissions", {"origin": url, "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    )
    browser.get(f"{url}/?since=24h&event_outcome=failure")

    one(browser, "[data-copy-link]").click()
    until(browser, lambda: one(browser, "[data-copy-link]").text == "Copied")

    copied = browser.execute_async_script("navigator.clipboard.readText().then(arguments[0])")
    assert copied.startswith(f"{url}/?")
    query = dict(parse_qsl(urlsplit(copied).query))
    assert query == {
        "event_outcome": "failure",
        "since": (NOW - timedelta(hours=24)).isoformat().replace("+00:00", "Z"),
        "until": NOW.isoformat().replace("+00:00", "Z"),
    }


def test_button_verifies_the_trail(browser, url):
    browser.get(f"{url}/?since=24h")
    follow(browser, lambda: one(browser, "a.verification").click())

    follow(browser, lambda: one(browser, "button.primary").click())

    assert one(browser, "h2").text == "Complete and unaltered"
    assert one(browser, "a.verification").text.startswith("trail complete and unaltered up to")
