"""The pytest plug-in `seg_testkit`: `--seg-conformance FILE` writes a table of which connector keeps which law of `connectors.testkit`.

Where the file is there already and has the two marks, only what stands between them is renewed. The setting `seg_conformance` names such a file: every run of
contracts then fails that found something else than the file says of its connectors.

pytest loads it wherever seg-assets is installed, so it imports nothing of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

_CONTRACTS = {"SourceContract", "EnricherContract", "DestinationContract", "ConsentContract"}
_MARKS = {"passed": "✓", "failed": "✗", "skipped": "–"}
_WORST = ("failed", "passed", "skipped")
BEGIN, END = "<!-- conformance: begin -->\n", "<!-- conformance: end -->\n"
_RESULTS = pytest.StashKey[dict[tuple[str, str], dict[str, str]]]()
_DIFFERENT = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("seg-assets")
    group.addoption("--seg-conformance", metavar="FILE", type=Path, help="write a table of connectors and the laws they keep (Markdown)")

    parser.addini("seg_conformance", "a page whose table of kept laws must agree with what runs find, below the root folder")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_RESULTS], config.stash[_DIFFERENT] = {}, []
    config.pluginmanager.register(_Collector(config.stash[_RESULTS]))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    report = yield
    cls: Any = getattr(item, "cls", None)
    contract = next((base.__name__ for base in getattr(cls, "__mro__", ()) if base.__name__ in _CONTRACTS), None)
    if contract and (report.when == "call" or report.outcome != "passed"):
        law = getattr(item, "originalname", item.name).removeprefix("test_").replace("_", " ")
        report.seg_law = [cls.connector.meta.id, contract, law]  # plain texts, so that pytest-xdist carries them
    return report


class _Collector:
    """Gathers results where reports end up: in this process, whoever ran the tests."""

    def __init__(self, results: dict[tuple[str, str], dict[str, str]]) -> None:
        self._results = results

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if found := getattr(report, "seg_law", None):
            connector, contract, law = found
            laws = self._results.setdefault((connector, contract), {})
            laws[law] = min(laws.get(law, "skipped"), report.outcome, key=_WORST.index)


def pytest_sessionfinish(session: pytest.Session) -> None:
    config = session.config
    page, chosen = config.getini("seg_conformance"), config.getoption("keyword") or any("::" in one for one in config.args)
    if page and not chosen and not config.getoption("seg_conformance") and not hasattr(config, "workerinput"):
        config.stash[_DIFFERENT] += differences((config.rootpath / page).read_text(encoding="utf-8"), config.stash[_RESULTS])
        if config.stash[_DIFFERENT] and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    results, file = config.stash[_RESULTS], config.getoption("seg_conformance")
    if config.stash[_DIFFERENT]:
        terminalreporter.section("conformance")
        for line in config.stash[_DIFFERENT]:
            terminalreporter.write_line(line)
        terminalreporter.write_line(f"renew the table: pytest <the contracts> --seg-conformance {config.getini('seg_conformance')}")
    if file and not hasattr(config, "workerinput"):
        file.write_text(_between(file, conformance_table(results)), encoding="utf-8")
        terminalreporter.write_line(f"conformance of {len(results)} connectors written to {file}")


def _between(file: Path, table: str) -> str:
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    return f"{before}{begin}{table}{end}{after}" if begin and end else table


def conformance_table(results: dict[tuple[str, str], dict[str, str]]) -> str:
    """One Markdown table per contract: a line per law, a column per connector.

    Args:
        results: connector id and contract to law to "passed", "failed" or "skipped".
    """
    parts = []
    for contract in sorted({contract for _, contract in results}):
        ids = sorted(id for id, other in results if other == contract)
        laws = sorted({law for id in ids for law in results[id, contract]})
        rows = [f"| {law} | {' | '.join(_MARKS.get(results[id, contract].get(law, ''), ' ') for id in ids)} |" for law in laws]
        parts.append("\n".join([f"| {contract} | {' | '.join(ids)} |", f"|---|{':-:|' * len(ids)}", *rows]))
    return "\n\n".join(parts) + "\n\n✓ kept · ✗ broken · – does not apply\n"


def differences(page: str, results: dict[tuple[str, str], dict[str, str]]) -> list[str]:
    """What a page's table says otherwise than a run found, of the connectors that the table has.

    Args:
        page: Markdown with a table per contract, as `conformance_table` writes them.
        results: as for `conformance_table`.
    """
    told: dict[tuple[str, str], dict[str, str]] = {}
    contract, ids = "", list[str]()
    for line in page.splitlines():
        first, *cells = [cell.strip() for cell in line.strip("|").split("|")]
        if first in _CONTRACTS:
            contract, ids = first, cells
            told |= {(id, contract): {} for id in ids}
        elif len(cells) == len(ids):
            for id, mark in zip(ids, cells, strict=True):
                told[id, contract][first] = mark
    return [
        f"{id}, {contract}: {law!r} is {_MARKS[outcome]}, and the page says {told[id, contract].get(law) or 'nothing'}"
        for (id, contract), laws in sorted(results.items())
        for law, outcome in sorted(laws.items())
        if (id, contract) in told and told[id, contract].get(law) != _MARKS[outcome]
    ]
