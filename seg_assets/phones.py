"""Phone numbers in E.164, by as many processes as there are cores where there are many: the parser is Python, one process would keep the other cores waiting.

The processes import this module and nothing else of the package.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import BrokenExecutor, Executor
from functools import cached_property
from threading import Lock

Written = tuple[str, str]
"""A number as somebody wrote it, and the country (ISO 3166-1) national numbers are read in, "" if unknown."""

REMEMBERED = 2**20
"""Numbers whose result is kept: an expression asks for the same number several times, and so do tables."""
WORTH_SHARING = 10_000
"""Numbers one process has parsed, in half a second, before it asks the other cores; to start them takes as long."""
IDLE_SECONDS = 30
"""The other processes end this long after the last number."""


class PhoneParser:
    """Parses numbers with https://github.com/daviddrysdale/python-phonenumbers and remembers them; any thread may call it.

    Args:
        worth_sharing: numbers to parse here before other processes are started.
    """

    def __init__(self, worth_sharing: int = WORTH_SHARING) -> None:
        self._known: dict[Written, str] = {}
        self._parsed, self._worth_sharing = 0, float(worth_sharing)
        self._starting = Lock()

    def __call__(self, numbers: Sequence[Written]) -> list[str]:
        """Each number in E.164, "" where it is not valid in its country's numbering plan."""
        results = {number: self._known.get(number) for number in numbers}
        new = [number for number, result in results.items() if result is None]
        found = dict(zip(new, self._parse(new), strict=True))
        if len(self._known) + len(found) > REMEMBERED:
            self._known = {}
        self._known.update(found)
        results.update(found)
        return [results[number] or "" for number in numbers]

    def _parse(self, numbers: Sequence[Written]) -> list[str]:
        self._parsed += len(numbers)
        if not numbers or self._parsed <= self._worth_sharing:
            return _parse(numbers)
        try:
            with self._starting:
                processes = self._processes
            return processes.submit(_parse, numbers).result()
        except (OSError, BrokenExecutor):  # no shared memory here, no memory left, or somebody killed one of them: it can be done without
            self._worth_sharing = float("inf")
            return _parse(numbers)

    @cached_property
    def _processes(self) -> Executor:
        from loky import ProcessPoolExecutor

        return ProcessPoolExecutor(timeout=IDLE_SECONDS)


def _parse(numbers: Sequence[Written]) -> list[str]:
    return [_e164(number, country) for number, country in numbers]


def _e164(number: str, country: str) -> str:
    import phonenumbers

    try:
        parsed = phonenumbers.parse(number, country or None)
    except phonenumbers.NumberParseException:
        return ""
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164) if phonenumbers.is_valid_number(parsed) else ""
