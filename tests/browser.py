"""Headless Chromium for the tests of pages, through selenium and its chromedriver; nothing outside can be reached."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
FLAGS = [
    "--headless=new",
    "--no-sandbox",  # root has none
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND",
]


@contextmanager
def chromium(profile: Path) -> Iterator[webdriver.Chrome]:
    """A browser with the folder `profile` for itself, which logs its console and every request."""
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER or ""
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


class Tab:
    """One page in a browser."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, path: Path, width: int = 1280, height: int = 900) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.driver.get("about:blank")
        self.driver.get_log("browser")
        self.driver.get_log("performance")
        self.driver.get(path.as_uri())
        self.js("document.documentElement.style.scrollBehavior = 'auto'")

    def js(self, code: str, *arguments: object) -> object:
        return self.driver.execute_script(code, *arguments)

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def press(self, label: str, value: str) -> None:
        self.find(f'[aria-label="{label}"] button[data-value="{value}"]').click()

    def rows(self) -> list[list[str]]:
        """Text of the cells of the explorer's table."""
        rows = "[...document.querySelectorAll('#explorer-table tbody tr')]"
        return self.js(f"return {rows}.map(row => [...row.cells].map(cell => cell.textContent))")  # type: ignore[return-value]

    def see(self, selector: str) -> None:
        self.js("document.querySelector(arguments[0]).scrollIntoView({block: 'center'})", selector)

    def wait(self, ready: str) -> None:
        WebDriverWait(self.driver, 20).until(lambda driver: driver.execute_script(f"return {ready}"))

    def see_pictures(self) -> None:
        self.see("#viewer")
        self.wait("document.querySelectorAll('#viewer img').length === 2")

    def focus_on(self, selector: str) -> None:
        self.js("document.querySelector(arguments[0]).focus()", selector)

    def focus_has(self, attribute: str) -> str:
        return str(self.js("return document.activeElement.getAttribute(arguments[0])", attribute))

    def send(self, *keys: str) -> None:
        ActionChains(self.driver).send_keys(*keys).perform()

    def zoom(self) -> tuple[float, float, float]:
        """Zoom, and the point of the crop in the middle of each frame."""
        style = "document.getElementById('compare').style"
        values = f"return ['--zoom', '--x', '--y'].map(name => parseFloat({style}.getPropertyValue(name)))"
        zoom, x, y = self.js(values)  # type: ignore[misc]
        return zoom, (0.5 - x / 100) / zoom, (0.5 - y / 100) / zoom

    def requests(self) -> list[str]:
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]

    def complaints(self) -> list[str]:
        """What stands in the console."""
        return [entry["message"] for entry in self.driver.get_log("browser")]
