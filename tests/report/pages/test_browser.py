"""The page in a real browser, opened from disk."""

import shutil
import time
from pathlib import Path

import pytest

from tests.report.pages.page_data import make

ROOT = Path(__file__).parents[3]
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
#: Without these Chromium itself speaks to the network.
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no chromium with its chromedriver"),
]


class Browser:
    """A headless Chromium with the page in it."""

    def __init__(self, profile):
        webdriver = pytest.importorskip("selenium.webdriver", reason="Selenium is not installed")
        from selenium.webdriver.chrome.service import Service

        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for word in (*QUIET, f"--user-data-dir={profile}", "--window-size=1280,1000"):
            options.add_argument(word)
        options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
        self.driver = webdriver.Chrome(service=Service(DRIVER), options=options)

    def open(self, page, state=""):
        self.driver.get("about:blank")
        self.driver.get(page.as_uri() + state)
        self.until(lambda: self.js("return 'ready' in document.body.dataset"))

    def js(self, code, *arguments):
        return self.driver.execute_script(code, *arguments)

    def until(self, true):
        for _ in range(600):
            if found := true():
                return found
            time.sleep(0.1)
        raise AssertionError("it did not happen within a minute")

    def cell(self, words):
        """Return the one cell whose spoken text begins so."""
        (found,) = self.driver.find_elements("css selector", f'#chart path[aria-label^="{words}"]')
        return found

    def point(self, words, *, click=False):
        from selenium.webdriver import ActionChains

        cell = self.cell(words)
        self.js("arguments[0].scrollIntoView({block: 'center'})", cell)
        chain = ActionChains(self.driver).move_to_element(cell)
        (chain.click() if click else chain).perform()

    @property
    def picked(self):
        return [e.text for e in self.driver.find_elements("css selector", "#picked strong")]

    def labels(self):
        """Letters at the ends of curves."""
        ends = "#chart [class*=ends] text"
        return [text.text for text in self.driver.find_elements("css selector", ends)]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    found = Browser(tmp_path_factory.mktemp("profile"))
    yield found
    found.driver.quit()


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return make(tmp_path_factory.mktemp("page"))


def test_opening_the_page_makes_no_request_and_no_error(browser, page):
    import json

    browser.driver.get_log("performance")
    browser.driver.get_log("browser")
    browser.open(page)
    browser.point("AdamW, lr 0.015625, wd 0.125")
    events = [json.loads(e["message"])["message"] for e in browser.driver.get_log("performance")]
    asked = [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
    assert {url for url in asked if not url.startswith("data:")} == {page.as_uri()}
    assert browser.driver.get_log("browser") == []


def test_hovering_says_what_a_cell_is_also_where_it_diverged(browser, page):
    browser.open(page)
    for words, told in (
        ("Adam + L2, lr 0.015625, wd 0.015625", ("0.0156", "± ", "2 finished", "averaging time")),
        ("AdamW, lr 3.91e-3, wd 0.015625", ("diverged",)),
    ):
        browser.point(words)
        tip = browser.until(lambda: browser.driver.find_element("id", "vg-tooltip-element").text)
        browser.until(lambda told=told: all(
            text in browser.driver.find_element("id", "vg-tooltip-element").text for text in told
        ))  # fmt: skip
        assert tip


def test_clicking_adds_cells_to_the_curves_and_takes_them_away(browser, page):
    browser.open(page)
    browser.driver.find_element("id", "none").click()
    browser.until(lambda: browser.picked == [])
    assert browser.labels() == []
    browser.point("Adam + L2, lr 0.015625, wd 0.015625", click=True)
    browser.point("AdamW, lr 0.015625, wd 1.95e-3", click=True)
    browser.until(lambda: len(browser.picked) == 2)
    assert [text.split(":")[0] for text in browser.picked] == ["Adam + L2", "AdamW"]
    assert sorted(browser.labels()) == ["A", "A", "B", "B"]
    browser.point("AdamW, lr 0.015625, wd 1.95e-3", click=True)
    browser.until(lambda: len(browser.picked) == 1)
    assert sorted(browser.labels()) == ["A", "A"]
