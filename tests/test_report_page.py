"""The report page in a browser: without an error, by mouse and by keyboard, on a phone, with and without JavaScript."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

from reproduce import report
from tests.test_report import EMPTY, write_results

CHROMIUM, DRIVER = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
PATIENCE = 120  # seconds, for busy machines
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs Debian's chromium and chromium-driver")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of a page on disk."""
    results = write_results(tmp_path_factory.mktemp("results"))
    report.run(["--results", str(results)])
    return (results / "index.html").as_uri()


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """A browser without a window."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    switches = ("headless", "no-sandbox", "disable-gpu", "disable-background-networking", "disable-dev-shm-usage")
    for switch in (*switches, "force-prefers-reduced-motion"):  # no smooth scrolling under a click
        options.add_argument(f"--{switch}")
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    yield browser
    browser.quit()


class Page:
    """A page that has opened; what is said on its console is kept."""

    def __init__(self, browser: webdriver.Chrome, address: str) -> None:
        self.browser = browser
        browser.get(address)
        self.wait("return document.documentElement.classList.contains('ready')")

    def __getitem__(self, name: str) -> WebElement:
        """The element of an id."""
        return self.browser.find_element(By.ID, name)

    def wait(self, script: str) -> None:
        """Until a script says true."""
        WebDriverWait(self.browser, PATIENCE, poll_frequency=0.05).until(lambda it: it.execute_script(script))

    def lines(self) -> list[list[str]]:
        """Name and colour of each line that is drawn."""
        drawn = "return document.getElementById('curves-plot').data.map(line => [line.name, line.line.color])"
        found: list[list[str]] = self.browser.execute_script(drawn)
        return found

    def choose(self, name: str, text: str) -> None:
        """Something of a list."""
        Select(self[name]).select_by_visible_text(text)

    def size(self) -> tuple[int, int]:
        """Width of what there is and of what is seen."""
        wide, seen = self.browser.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
        return wide, seen


@pytest.fixture
def page(chromium: webdriver.Chrome, address: str) -> Iterator[Page]:
    """The page, newly opened; when a test is over nothing has been said on its console."""
    opened = Page(chromium, address)
    yield opened
    assert chromium.get_log("browser") == []  # type: ignore[no-untyped-call]


def test_methods_seeds_and_settings_change_the_plot(page: Page) -> None:
    one, other = ["IL, seed 0", "IL, seed 1", "IL"], ["MF-Q, seed 0", "MF-Q, seed 1", "MF-Q"]
    assert [name for name, _ in page.lines()] == one + other
    ends = [row.text for row in page["curves-ends"].find_elements(By.TAG_NAME, "tr")]
    assert len(ends) == 3
    page["curves-methods"].find_element(By.TAG_NAME, "input").send_keys(Keys.SPACE)
    assert [name for name, _ in page.lines()] == other
    assert page["curves-told"].text == "1 of 2 methods are drawn."
    page.choose("curves-seeds", "the mean alone")
    assert [name for name, _ in page.lines()] == ["MF-Q"]
    page.choose("curves-seeds", "median and middle half")
    assert len(page.lines()) == 3
    page.choose("curves-seeds", "seed 1")
    height = "return document.getElementById('curves-plot').data[0].y[2]"
    greedy = page.browser.execute_script(height)
    page.choose("curves-metric", "sampled G / G*")
    assert page.browser.execute_script(height) < greedy
    page.choose("curves-facet-0", "calibrated")
    assert [name for name, _ in page.lines()] == ["MF-Q"]


def test_the_lattice_follows_its_sliders_by_keyboard(page: Page) -> None:
    """Of temperatures 0.8 and 2 at sweeps 5 and 10; it opens at the end of the first that is at least 1.1."""

    def told() -> str:
        return page["lattice-told"].text

    assert told() == "4 x 4 spins at τ = 2, sweep 10: 50% are up."
    page["lattice-step"].send_keys(Keys.ARROW_LEFT)
    assert told() == "4 x 4 spins at τ = 2, sweep 5: 100% are up."
    page["lattice-temperature"].send_keys(Keys.ARROW_LEFT)
    assert told() == "4 x 4 spins at τ = 0.8, sweep 5: 0% are up."
    assert page["lattice-order"].text == "1.00"
    page["lattice-play"].send_keys(Keys.ENTER)
    page.wait("return document.getElementById('lattice-play').textContent === 'Play'")
    assert told() == "4 x 4 spins at τ = 0.8, sweep 10: 6% are up."
    row = "return [...document.getElementById('lattice-canvas').getContext('2d').getImageData(0, 64, 512, 1).data]"
    pixels = page.browser.execute_script(row)
    colours = [tuple(pixels[4 * x : 4 * x + 3]) for x in (64, 192, 320, 448)]
    assert colours[0] != colours[1] == colours[2] == colours[3], "the first spin alone is up"


def test_the_player_plays_to_the_recorded_end(page: Page) -> None:
    steps = int(page["battle-step"].get_attribute("max") or 0)
    assert page["battle-now"].text == f"0 of {steps}"
    assert page["battle-alive-0"].text == page["battle-alive-1"].text == "8 of 8"
    page.choose("battle-speed", "60")
    page["battle-play"].click()
    page.wait("return document.getElementById('battle-play').textContent === 'Play'")
    assert page["battle-now"].text == f"{steps} of {steps}"
    armies = page.browser.execute_async_script(
        "unpackText('data').then(text => arguments[0](JSON.parse(text).battles[0].armies))"
    )
    for army in (0, 1):
        assert page[f"battle-alive-{army}"].text == f"{armies[army]['survivors']} of 8"
        assert page[f"battle-kills-{army}"].text == str(8 - armies[1 - army]["survivors"])
    assert page["battle-told"].text.startswith(("rush wins", "random wins", "A draw"))
    cards = page["battle-armies"].find_elements(By.CLASS_NAME, "note")
    assert [card.text.split(" ")[0] for card in cards] == ["left", "right"]
    assert all(card.text.endswith("sampled play") for card in cards)


def test_the_player_steps_by_keyboard(page: Page) -> None:
    picture = "return document.getElementById('battle-canvas').toDataURL()"
    start = page.browser.execute_script(picture)
    slider = page["battle-step"]
    slider.send_keys(Keys.ARROW_RIGHT)
    assert page["battle-now"].text.startswith("1 of")
    assert page.browser.execute_script(picture) != start
    page["battle-next"].send_keys(Keys.ENTER)
    page["battle-back"].send_keys(Keys.ENTER)
    page["battle-back"].send_keys(Keys.ENTER)
    assert page.browser.execute_script(picture) == start
    slider.send_keys(Keys.END)
    steps = slider.get_attribute("max")
    assert page["battle-now"].text == f"{steps} of {steps}"
    slider.send_keys(Keys.SPACE)
    assert page["battle-play"].text == "Pause", "it plays from the start"
    page["battle-play"].send_keys(Keys.ENTER)
    assert page["battle-play"].text == "Play"


@pytest.mark.parametrize("width", [360, 768])
def test_nothing_is_wider_than_the_screen(page: Page, width: int) -> None:
    screen = {"width": width, "height": 800, "deviceScaleFactor": 2, "mobile": True}
    page.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    try:
        page.wait(f"return document.querySelector('#curves-plot .main-svg').clientWidth < {width}")
        assert page.size() == (width, width)
    finally:
        page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_light_and_dark(page: Page) -> None:
    """The page follows the reader's choice, the lines of the plot with it."""
    background = "return getComputedStyle(document.body).backgroundColor"
    colour = "document.getElementById('curves-plot').data[0].line.color"
    try:
        for theme, ground, line in (("light", "245, 246, 248", "#0072b2"), ("dark", "16, 19, 23", "#66aad1")):
            features = [{"name": "prefers-color-scheme", "value": theme}]
            page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
            assert page.browser.execute_script(background) == f"rgb({ground})"
            page.wait(f"return {colour}.toLowerCase() === '{line}'")
    finally:
        page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_without_javascript_there_are_claims_and_figures(chromium: webdriver.Chrome, address: str) -> None:
    chromium.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        chromium.get(address)
        assert "MF-Q learns" in chromium.find_element(By.ID, "GS-2").text
        assert chromium.find_element(By.CSS_SELECTOR, "#theory img").is_displayed()
        assert "rush" in chromium.find_element(By.CSS_SELECTOR, "#battle table").text
        assert not any(each.is_displayed() for each in chromium.find_elements(By.CLASS_NAME, "interactive"))
    finally:
        chromium.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_a_table_of_claims_with_empty_columns_opens(chromium: webdriver.Chrome, tmp_path: Path) -> None:
    pd.DataFrame([EMPTY | {"id": "BA-1"}]).to_csv(tmp_path / "claims.csv", index=False)
    report.run(["--results", str(tmp_path)])
    chromium.get((tmp_path / "index.html").as_uri())
    assert "not tested" in chromium.find_element(By.ID, "BA-1").text
    assert chromium.get_log("browser") == []  # type: ignore[no-untyped-call]
