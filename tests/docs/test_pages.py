"""Every page is run: a block that begins with the name of a file is that file, commands are typed, servers are asked, examples are read.

Blocks of a page run in its order and in one folder. `docs/segments.md`, `docs/sandbox.md` and `docs/vendors.md` have their own tests.
"""

from __future__ import annotations

import os
import re
import sqlite3
import tomllib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from connectors.hookspecs import ENTRY_POINT_GROUP
from seg_assets.documents import parse_documents
from seg_assets.lake import Lake
from seg_assets.project.models import ProjectConfig
from tests.docs.conftest import DEMO
from tests.docs.pages import PAGES, Block, blocks
from tests.docs.shell import SERVERS, Shell, all_serving

pytestmark = pytest.mark.slow

NOT_RUN = {
    "uv run ruff check .\nuv run ruff format --check .\nuv run pyright\n": "they judge the whole checkout, not what the page says",
    "uv run pytest tests/segments\n": "runs other tests",
    "uv run pytest tests/connectors --seg-conformance docs/connectors.md\n": "runs other tests",
    "pip install -e seg-connector-loyalty\n": "would install it for all tests",
    "seg sandbox --vendor seg_connector_loyalty.source_emulation --port 8026\n": "is served while other blocks run",
    "uv run pytest -m release\n": "runs other tests, for minutes",
    "SEG_CRASHES=500 uv run pytest -m crash tests/activation\n": "runs other tests",
    "uv run python docs/img/make.py\n": "renews pictures of the repository, from a demo at full size",
}
"""Blocks tagged `no-run`, and why."""

TESTED_ELSEWHERE = {
    "docs/authoring.md": "tests/connectors/test_authoring.py",
    "docs/segments.md": "tests/segments/test_docs.py",
    "docs/sandbox.md": "tests/connectors/sandbox/test_docs.py",
    "docs/vendors.md": "tests/connectors/testkit/test_guide.py",
}
SHOWN = {"text", "nginx", ""}
"""Languages that are looked at, not run."""


def runnable(page: str) -> list[Block]:
    return [block for block in blocks(page) if block.language not in SHOWN]


def test_readme(checkout: Path, demo: Path, shell_in: Callable[[Path], Shell]) -> None:
    orders = [f"{n},{day},anna,{n}9.90" for n, day in enumerate(("2026-02-01", "2026-03-01", "2026-04-01"), 1)]
    data = checkout / "my-shop" / "data"
    data.mkdir(parents=True)
    (data / "orders-2026.csv").write_text("\n".join(["id,ordered_at,customer,total", *orders, "4,2026-04-02,ben,5.00"]) + "\n")
    follow("README.md", shell_in(checkout))
    lake = Lake(checkout / "my-shop" / "lake")
    assert lake.commit(("identity", "persons")).rows == 2
    assert lake.exists(("segments", "memberships"))


def test_contributing(checkout: Path, shell_in: Callable[[Path], Shell]) -> None:
    follow("CONTRIBUTING.md", shell_in(checkout))


def test_architecture(demo_copy: Path, shell_in: Callable[[Path], Shell]) -> None:
    follow("docs/architecture.md", shell_in(demo_copy))


@pytest.mark.release
def test_activation(demo_copy: Path, shell_in: Callable[[Path], Shell]) -> None:
    follow("docs/activation.md", shell_in(demo_copy))


def test_operations(demo_copy: Path, shell_in: Callable[[Path], Shell]) -> None:
    follow("docs/operations.md", shell_in(demo_copy))


def test_connectors(tmp_path: Path, shell_in: Callable[[Path], Shell]) -> None:
    (tmp_path / "cards.csv").write_text("card,email\nc1,Ann@Example.com\nc2,ben@example.com\n")
    with closing(sqlite3.connect(tmp_path / "tills.sqlite")) as database:
        database.execute("create table sales(id integer primary key, receipt integer, sold_at text, card text, article text, amount text)")
        sales = [(1, "2026-06-02T09:00:00Z", "c1"), (2, "2026-06-20T09:00:00Z", "c1"), (3, "2026-06-21T09:00:00Z", "c2")]
        database.executemany("insert into sales(receipt, sold_at, card, article, amount) values (?, ?, ?, 'bread', '2.40')", sales)
        database.commit()
    follow("docs/connectors.md", shell_in(tmp_path))
    assert (tmp_path / "outbox" / "regulars.txt").read_text() == "ann@example.com\n"


def test_every_page_with_blocks_to_run_is_followed() -> None:
    followed = {"README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/operations.md", "docs/activation.md", "docs/connectors.md"}
    assert {page for page in PAGES if runnable(page)} == followed | TESTED_ELSEWHERE.keys()


def test_only_blocks_with_a_reason_are_not_run() -> None:
    tagged = {block.text for page in PAGES for block in blocks(page) if "no-run" in block.tags}
    assert tagged == NOT_RUN.keys()


def follow(page: str, shell: Shell) -> None:
    """Does everything a page says."""
    for block in runnable(page):
        if "no-run" in block.tags or (page == "README.md" and block.text.strip() == DEMO):
            continue
        try:
            FOLLOW[block.language](block, shell)
        except Exception as error:
            raise AssertionError(f"{block.place} does not hold: {error}") from error


def commands(block: Block, shell: Shell) -> None:
    lines = block.text.splitlines()
    if not all(SERVERS.match(line) for line in lines):
        shell.run(block.text)
        return
    with all_serving(shell, lines) as servers:
        for server in servers:
            if "daemon" not in server.command:
                assert {"raw/shop/crm", "segments/memberships", "activation/hubspot/members/receipts"} <= server.tables()
            if "--read-only" in server.command:
                status, _ = server.post("/report_asset_materialization/raw/shop/crm", {})
                assert status == 401


def session(block: Block, shell: Shell) -> None:
    """A command and what it prints; `...` stands for anything."""
    command, _, shown = block.text.removeprefix("$ ").partition("\n")
    printed = " ".join(shell.run(command).split())
    pattern = ".*".join(re.escape(" ".join(part.split())) for part in shown.split("..."))
    assert re.fullmatch(pattern, printed, re.DOTALL), printed


def settings(block: Block, shell: Shell) -> None:
    documents = parse_documents(block.text)
    if block.file:
        save(block, shell)
    else:
        for document in documents:
            ProjectConfig.model_validate({"project": "example", **document.data})


def program(block: Block, shell: Shell) -> None:
    code = compile(block.text, block.place, "exec")
    if block.file:
        save(block, shell)
        return
    before = Path.cwd()
    os.chdir(shell.folder)
    try:
        exec(code, {})
    finally:
        os.chdir(before)


def package(block: Block, shell: Shell) -> None:
    assert ENTRY_POINT_GROUP in tomllib.loads(block.text)["project"]["entry-points"]


def save(block: Block, shell: Shell) -> None:
    file = shell.folder / str(block.file)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(block.text)


FOLLOW: dict[str, Callable[[Block, Shell], None]] = {
    "bash": commands,
    "console": session,
    "yaml": settings,
    "python": program,
    "toml": package,
}
