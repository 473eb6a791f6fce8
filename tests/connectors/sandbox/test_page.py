"""The sandbox's page in a browser: it shows what a vendor holds, and its dial works."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.hubspot.emulation import PRIVATE_APP_TOKEN, HubSpot

CHROMIUM, DRIVER = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
SCREENSHOTS = os.environ.get("SEG_SCREENSHOTS")
CONTACTS = "/crm/v3/objects/contacts"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no Chromium with its driver on this machine"),
]


@pytest.fixture(params=["light", "dark"])
def browser(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[object]:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-dev-shm-usage"]
    for flag in (*flags, "--window-size=1400,1200", f"--user-data-dir={tmp_path / 'chromium'}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": request.param}]})
    driver.scheme = request.param
    yield driver
    driver.quit()


def test_the_page_shows_what_is_held_and_turns_the_dial(browser, stand_in):
    from selenium.common.exceptions import StaleElementReferenceException
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    hubspot = stand_in(HubSpot, people=5, headers={"Authorization": f"Bearer {PRIVATE_APP_TOKEN}"})
    wait = WebDriverWait(browser, 60, poll_frequency=0.2, ignored_exceptions=[StaleElementReferenceException])
    made = {"name": "Lapsed <b>buyers</b>", "objectTypeId": "0-1", "processingType": "MANUAL"}
    hubspot.call("POST", "/crm/v3/lists", made)
    browser.get(hubspot.page)

    def text(_: object = None) -> str:
        return browser.find_element(By.TAG_NAME, "main").text

    wait.until(lambda _: "Lapsed <b>buyers</b>" in text() and "p4…@…" in text())
    assert wait.until(lambda _: "example.com" not in text())
    light = sum(map(int, browser.find_element(By.TAG_NAME, "body").value_of_css_property("background-color")[5:-1].split(",")[:3])) > 384
    assert light is (browser.scheme == "light")
    share = browser.find_element(By.NAME, "too_many")
    share.clear()
    share.send_keys("100")
    browser.find_element(By.XPATH, "//button[text()='Set']").click()
    wait.until(lambda _: "Set." in text())
    assert hubspot.faults.dial.too_many == 1
    assert hubspot.call("GET", CONTACTS).status_code == 429
    wait.until(lambda _: "429 (not applied)" in text())
    browser.find_element(By.XPATH, "//button[text()='All calm']").click()
    wait.until(lambda _: hubspot.faults.dial.too_many == 0)
    wait.until(lambda _: browser.find_element(By.NAME, "too_many").get_attribute("value") == "0")
    if SCREENSHOTS:
        browser.save_screenshot(str(Path(SCREENSHOTS) / f"sandbox-{browser.scheme}.png"))
