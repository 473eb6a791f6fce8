"""Phone numbers: what several processes make of them is what one does, and losing them loses no number."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from seg_assets.phones import PhoneParser, Written

NUMBERS: list[Written] = [
    ("020 7946 0958", "GB"),
    ("+43 (0)664 1234567", "AT"),
    ("06 698 12345", "IT"),  # in Italy the zero is part of the number
    ("+39 (0)6 698 12345", ""),
    ("0664 1234567", ""),
    ("0664 1234567", "XX"),
    ("12", "US"),
    ("call me", "US"),
    ("", "US"),
]
PARSED = ["+442079460958", "+436641234567", "+390669812345", "+390669812345", "", "", "", "", ""]
MANY = [(f"0151 {n:08d}", "DE") for n in range(4_000)]


@pytest.fixture
def shared() -> PhoneParser:
    """A parser that leaves everything to other processes."""
    return PhoneParser(worth_sharing=0)


def test_numbers_are_read_in_their_country() -> None:
    assert PhoneParser()(NUMBERS) == PARSED


def test_processes_find_what_one_finds(shared: PhoneParser) -> None:
    assert shared(NUMBERS) == PARSED
    alone = PhoneParser()(MANY)
    assert sum(map(bool, alone)) > 1_000
    parts = [MANY[start : start + 500] for start in range(0, len(MANY), 500)]
    with ThreadPoolExecutor(4) as threads:
        assert [number for part in threads.map(shared, parts) for number in part] == alone


def test_killed_processes_cost_no_number(shared: PhoneParser) -> None:
    assert shared(NUMBERS) == PARSED
    for process in list(shared._processes._processes.values()):  # type: ignore[attr-defined]
        os.kill(process.pid, signal.SIGKILL)
    assert shared(MANY) == PhoneParser()(MANY)
    assert shared([("020 7946 0959", "GB")]) == ["+442079460959"]


def test_a_parser_forgets_before_it_fills_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seg_assets.phones.REMEMBERED", 100)
    parser = PhoneParser()
    for start in range(0, 1_000, 50):
        part = MANY[start : start + 50]
        assert parser(part) == PhoneParser()(part)
    assert len(parser._known) <= 100
