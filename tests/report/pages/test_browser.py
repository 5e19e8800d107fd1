"""The page in a real browser, opened from disk."""

import json
import shlex
import shutil
import subprocess
import sys
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
        end = time.monotonic() + 60
        while time.monotonic() < end:
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


def choose(browser, name, value):
    from selenium.webdriver.support.select import Select

    Select(browser.driver.find_element("id", name)).select_by_value(value)


def test_the_ridge_turns_with_the_coordinate_and_the_address_keeps_the_view(browser, page):
    def ridge():
        line = browser.driver.find_element("css selector", "#chart .mark-line[class*=ridge1] path")
        return line.get_attribute("d")

    def slope():
        texts = browser.driver.find_elements("css selector", "#chart text")
        return next(t.text for t in texts[::-1] if t.text.startswith("ridge slope"))

    browser.open(page)
    before = ridge(), slope()
    choose(browser, "coordinate", "torch_wd")
    browser.until(lambda: slope() != before[1])
    assert ridge() != before[0]
    choose(browser, "metric", "test_loss")
    choose(browser, "seed", "2")
    browser.point("AdamW, lr 0.015625, wd 0.125", click=True)
    browser.until(lambda: len(browser.picked) == 3)
    state, picked = browser.js("return location.hash"), browser.picked
    browser.open(page, state)
    assert browser.picked == picked
    for name, value in (("coordinate", "torch_wd"), ("metric", "test_loss"), ("seed", "2")):
        assert browser.driver.find_element("id", name).get_attribute("value") == value
    browser.open(page, "#metric=<b>&picked=none,&seed=99&other")
    assert browser.picked == []
    assert browser.driver.find_element("id", "metric").get_attribute("value") == "test_error"


def test_every_cell_is_reached_and_chosen_by_the_keyboard(browser, page):
    from selenium.webdriver import ActionChains, Keys

    def focused():
        return browser.js("return document.activeElement.getAttribute('aria-label') || ''")

    browser.open(page)
    browser.driver.find_element("id", "none").send_keys(Keys.TAB)
    seen = {focused()}
    for _ in range(3):
        for way in (Keys.ARROW_LEFT, Keys.ARROW_RIGHT):
            for _ in range(6):
                ActionChains(browser.driver).send_keys(way).perform()
                seen.add(focused())
        ActionChains(browser.driver).send_keys(Keys.ARROW_UP).perform()
    assert {text.split(",")[0] for text in seen} == {"Adam + L2"}
    assert len(seen) == 18
    before = browser.picked
    ActionChains(browser.driver).send_keys(Keys.ENTER).perform()
    browser.until(lambda: browser.picked != before)
    assert browser.until(focused) in seen
    ActionChains(browser.driver).send_keys(Keys.TAB).perform()
    assert focused().startswith("AdamW")


def test_the_best_cell_is_one_click_away(browser, page):
    browser.open(page, "#picked=")
    assert browser.picked == []
    browser.driver.find_element("css selector", "[data-panel='1']").click()
    browser.until(lambda: browser.picked)
    assert browser.picked == ["AdamW: lr 0.0625, wd 1.95e-3"]


def test_the_copied_command_runs_the_cell_again(browser, in_tmp):

    from experiments.notebook import train
    from experiments.report.pages.settings import Settings
    from experiments.report.pages.sweep import analyze
    from experiments.sweep.grid import shortest
    from tests.tiny_runs import TINY

    first = train(*TINY, "name=tiny", "optim=adamw", "lr=0.01", "wd=0.001")
    analyze("tiny", settings=Settings(samples=0), html=True, shorten=shortest)
    browser.open(in_tmp / "results" / "tiny" / "report.html")
    browser.driver.execute_cdp_cmd(
        "Browser.grantPermissions",
        {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]},
    )
    button = browser.driver.find_element("css selector", "#picked .copy")
    button.click()
    browser.until(lambda: button.text == "copied")
    code = "return await navigator.clipboard.readText()"
    copied = browser.driver.execute_script(code)
    assert copied == browser.driver.find_element("css selector", "#picked code").text
    program, script, *words = shlex.split(copied)
    assert (program, script) == ("python", "train.py")
    words += ["tracker=none", "device=cpu"]
    done = subprocess.run(
        [sys.executable, str(ROOT / script), *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (result,) = (in_tmp / "runs" / "tiny_again").glob("*/result.json")
    again = json.loads(result.read_text())
    for metric in ("test_error", "test_loss", "train_loss"):
        assert again[metric] == first[metric]
