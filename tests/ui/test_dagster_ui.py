"""The Dagster UI as a person uses it: open the graph, materialize everything, look at the result. Needs Chromium and its driver."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from seg_assets.project.init import copy_demo

CHROMIUM, DRIVER = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
SCREENSHOTS = os.environ.get("SEG_SCREENSHOTS")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no Chromium with its driver on this machine"),
]


class Dagster:
    """A `dagster dev` on loopback, and its GraphQL."""

    def __init__(self, project: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"http://127.0.0.1:{free.getsockname()[1]}"
        environment = {**os.environ, "SEG_PROJECT": str(project), "DAGSTER_HOME": str(project / "home")}
        (project / "home").mkdir()
        shutil.copy(Path(__file__).parents[2] / "dagster.yaml", project / "home")
        command = [sys.executable, "-m", "dagster", "dev", "-m", "seg_assets.definitions", "-h", "127.0.0.1", "-p", self.address.rsplit(":", 1)[1]]
        self.log = (project / "dagster.log").open("w")
        self.process = subprocess.Popen(command, env=environment, stdout=self.log, stderr=subprocess.STDOUT, start_new_session=True)

    def query(self, text: str) -> dict:
        request = urllib.request.Request(f"{self.address}/graphql", json.dumps({"query": text}).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)["data"]

    def is_up(self) -> bool:
        try:
            return self.query("{ repositoriesOrError { __typename } }")["repositoriesOrError"]["__typename"] == "RepositoryConnection"
        except OSError:
            return False

    def stop(self) -> None:
        os.killpg(self.process.pid, 15)
        self.process.wait(60)
        self.log.close()


@pytest.fixture
def dagster(tmp_path: Path) -> Iterator[Dagster]:
    running = Dagster(copy_demo(tmp_path / "demo", customers=200, seed=7))
    yield running
    running.stop()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--window-size=1900,1200", f"--user-data-dir={tmp_path / 'chromium'}",
    ):  # fmt: skip
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


def test_everything_can_be_materialized_from_the_ui(dagster: Dagster, browser) -> None:
    from selenium.common.exceptions import StaleElementReferenceException
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    wait = WebDriverWait(browser, 600, poll_frequency=0.5, ignored_exceptions=[StaleElementReferenceException])
    wait.until(lambda _: dagster.is_up())
    browser.get(f"{dagster.address}/asset-groups")
    wait.until(lambda b: any("Materialize all" in e.text for e in b.find_elements(By.TAG_NAME, "button")))
    _screenshot(browser, "graph")
    wait.until(lambda b: any(_pressed(e) for e in b.find_elements(By.TAG_NAME, "button") if "Materialize all" in e.text))

    def status(_) -> str | None:
        runs = dagster.query("{ runsOrError { ... on Runs { results { status } } } }")["runsOrError"]["results"]
        return runs[0]["status"] if runs and runs[0]["status"] in {"SUCCESS", "FAILURE", "CANCELED"} else None

    assert wait.until(status) == "SUCCESS", Path(dagster.log.name).read_text()[-3000:]
    steps = dagster.query("{ runsOrError { ... on Runs { results { stats { ... on RunStatsSnapshot { stepsFailed stepsSucceeded } } } } } }")
    counts = steps["runsOrError"]["results"][0]["stats"]
    assert counts["stepsFailed"] == 0
    assert counts["stepsSucceeded"] > 50
    browser.get(f"{dagster.address}/assets/segments/memberships?view=overview")
    wait.until(lambda b: "memberships" in b.find_element(By.TAG_NAME, "body").text)
    _screenshot(browser, "memberships")


def _pressed(button) -> bool:
    """Clicks a button; False while it can't be clicked yet."""
    from selenium.common.exceptions import ElementClickInterceptedException

    try:
        button.click()
    except ElementClickInterceptedException:
        return False
    return True


def _screenshot(browser, name: str) -> None:
    """Kept where SEG_SCREENSHOTS says, for people to look at."""
    if SCREENSHOTS:
        browser.save_screenshot(str(Path(SCREENSHOTS) / f"{name}.png"))
