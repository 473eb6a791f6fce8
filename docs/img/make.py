"""Renews the pictures of README.md from a demo run: `uv run python docs/img/make.py`. Needs Chromium and its driver.

`layers.svg` is drawn by hand.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import click

HERE = Path(__file__).parent
PICTURES = {
    "segments_memberships_sizes": "segments",
    "clusters_assignments_map": "clusters",
    "clusters_personas_traits": "personas",
    "activation_hubspot_members_delivery_funnel": "delivery",
}
"""Name in the demo's report to name here."""
LINEAGE = "asset-groups"
NODES = "return [...document.querySelectorAll('foreignObject')].map(n => n.getBoundingClientRect()).map(r => [r.left, r.top, r.right, r.bottom])"
ALONE = """document.querySelectorAll('[class*=portal]').forEach(dialog => dialog.remove());
document.querySelectorAll('[class*=slider]').forEach(slider => slider.parentElement && slider.parentElement.parentElement.remove())"""
"""Takes away what lies over the graph: dialogs and the zoom."""
MARGIN, SCALE, WAIT_SECONDS = 24, 2, 180
SEG = [sys.executable, "-c", "from seg_assets.cli import main; main()"]


@click.command()
@click.option("--demo", type=click.Path(exists=True, path_type=Path), help="A demo that ran already; default: run one.")
def make(demo: Path | None) -> None:
    """Renew the pictures in docs/img."""
    with tempfile.TemporaryDirectory() as scratch:
        if demo is None:
            demo = Path(scratch) / "demo"
            subprocess.run([*SEG, "demo", "--dir", str(demo)], check=True)
        for theirs, ours in PICTURES.items():
            shutil.copyfile(demo / "lake" / "report" / f"{theirs}.png", HERE / f"{ours}.png")
        port = _free_port()
        server = subprocess.Popen([*SEG, "ui", "--project", str(demo), "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _wait_for(f"http://127.0.0.1:{port}/server_info")
            _graph(f"http://127.0.0.1:{port}/{LINEAGE}", HERE / "lineage.png")
        finally:
            server.terminate()
            server.wait()


def _graph(url: str, file: Path) -> None:
    """Dagster's picture of the graph behind `url`, without what is around it."""
    from PIL import Image
    from selenium import webdriver
    from selenium.webdriver.support.ui import WebDriverWait

    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1700,900", f"--force-device-scale-factor={SCALE}"):
        options.add_argument(argument)
    with webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver"))) as browser:
        browser.get(url)
        seen: list[list[float]] = []

        def at_rest(_: object) -> bool:
            before, seen[:] = [*seen], browser.execute_script(NODES)
            return len(seen) > 1 and seen == before

        WebDriverWait(browser, WAIT_SECONDS, poll_frequency=5).until(at_rest)
        browser.execute_script(ALONE)
        browser.save_screenshot(str(file))
    left, top, right, bottom = (choose(sides) for choose, sides in zip((min, min, max, max), zip(*seen, strict=True), strict=True))
    with Image.open(file) as picture:
        box = (left - MARGIN, top - MARGIN, right + MARGIN, bottom + MARGIN)
        picture.crop(tuple(int(side * SCALE) for side in box)).quantize(64).save(file, optimize=True)


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def _wait_for(url: str) -> None:
    for _ in range(WAIT_SECONDS):
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(1)
    raise click.ClickException(f"nothing answers at {url}")


if __name__ == "__main__":
    make()
