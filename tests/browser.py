"""Headless Chromium for tests of pages: one for all, reading files alone, with what it asked for and complained of."""

from __future__ import annotations

import base64
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
"""Where Debian's packages chromium and chromium-driver put them."""

_QUIET = ("quic", "gpu", "background-networking", "component-update", "sync", "dev-shm-usage")

_WHOLE = "return document.readyState === 'complete' && location.href === arguments[0]"


@dataclass(frozen=True)
class Browser:
    """One window. Pages are files; sizes are in CSS pixels."""

    driver: webdriver.Chrome

    def open(self, page: Path, *, width: int = 1400, height: int = 900, dark: bool = False) -> None:
        """Load a file as a screen of this size shows it; what was logged before is forgotten."""
        self._command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        self._medium("screen", dark=dark)
        self.driver.get("about:blank")  # else the page before, of the same address, could answer for this one
        for log in ("browser", "performance"):
            self.driver.get_log(log)
        self.driver.get(page.as_uri())
        WebDriverWait(self.driver, 60).until(lambda _: self.ask(_WHOLE, page.as_uri()))

    def ask(self, script: str, *arguments: object) -> Any:
        """What a piece of JavaScript returns."""
        return self.driver.execute_script(script, *arguments)

    def each(self, selector: str, expression: str) -> list[Any]:
        """What an expression gives for `each` element that a selector finds."""
        return self.ask(f"return [...document.querySelectorAll(arguments[0])].map(each => {expression})", selector)

    def complaints(self) -> list[str]:
        """What the console has said since the page was opened, broken policies included."""
        return [line["message"] for line in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """Every address that was asked for since the page was opened, other than data in the page itself."""
        events = [json.loads(line["message"])["message"] for line in self.driver.get_log("performance")]
        sent = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
        return [url for url in sent if not url.startswith("data:")]

    @contextmanager
    def on_paper(self) -> Iterator[None]:
        """Within, the page is laid out as for print, without the script's help."""
        self._medium("print", dark=False)
        yield
        self._medium("screen", dark=False)

    def pdf(self) -> str:
        """The page as it is printed, a PDF in base64.

        Chromium prints in a process of its own, and says `Printing failed` where that is slow to start: then again.
        """
        for _ in range(4):
            with suppress(WebDriverException):
                return str(self._command("Page.printToPDF", printBackground=False)["data"])
            time.sleep(1)
        return str(self._command("Page.printToPDF", printBackground=False)["data"])

    def screenshot(self, path: Path) -> Path:
        """The whole page as a PNG."""
        shot = self._command("Page.captureScreenshot", captureBeyondViewport=True, fromSurface=True)["data"]
        path.write_bytes(base64.b64decode(shot))
        return path

    def _medium(self, medium: str, *, dark: bool) -> None:
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._command("Emulation.setEmulatedMedia", media=medium, features=[scheme])

    def _command(self, name: str, **settings: object) -> dict[str, Any]:
        return self.driver.execute_cdp_cmd(name, settings)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Skips, with the reason, where Debian's Chromium is not installed."""
    if not (CHROMIUM.exists() and DRIVER.exists()):
        pytest.skip("no Chromium here: apt-get install chromium chromium-driver")
    profile = tmp_path_factory.mktemp("chromium")
    driver = webdriver.Chrome(options=_options(profile), service=Service(executable_path=str(DRIVER)))
    try:
        driver.get("about:blank")  # what it opens by itself makes requests of its own
        yield Browser(driver)
    finally:
        driver.quit()
        shutil.rmtree(profile, ignore_errors=True)


def _options(profile: Path) -> webdriver.ChromeOptions:
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    for switch in ("headless", "no-sandbox", "no-first-run", *(f"disable-{part}" for part in _QUIET)):
        options.add_argument(f"--{switch}")
    options.add_argument(f"--user-data-dir={profile}")
    return options
